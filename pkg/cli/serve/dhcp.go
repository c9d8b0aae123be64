package serve

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// poolKeys are where leases of the pool are kept: + address.
const poolKeys = "lease/"

// directory answers the DHCP server from the address plan in force.
type directory struct{ machine *provision.Machine }

// Lookup implements dhcpd.Directory.
func (d directory) Lookup(mac rack.MAC) (dhcpd.Reservation, bool) {
	a, ok := d.machine.Assigned(mac)
	if !ok {
		return dhcpd.Reservation{}, false
	}
	// A row that went keeps its address, and boots nothing any more.
	return dhcpd.Reservation{IP: a.Addr, Boot: a.Role == rack.RoleServer && d.machine.Listed(mac), HostName: a.Name}, true
}

// pool keeps the DHCP pool's leases in the store.
type pool struct{ store store.Store }

// Load implements dhcpd.PoolStore.
func (p pool) Load(ctx context.Context) ([]dhcpd.Lease, error) {
	kvs, err := p.store.List(ctx, poolKeys)
	if err != nil {
		return nil, fmt.Errorf("load leases: %w", err)
	}
	out := make([]dhcpd.Lease, 0, len(kvs))
	for _, kv := range kvs {
		var l dhcpd.Lease
		if err := json.Unmarshal(kv.Value, &l); err != nil {
			return nil, fmt.Errorf("lease %s: %w", kv.Key, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// Save implements dhcpd.PoolStore.
func (p pool) Save(ctx context.Context, leases ...dhcpd.Lease) error {
	ops := make([]store.Op, 0, len(leases))
	for _, l := range leases {
		b, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("lease of %s: %w", l.IP, err)
		}
		ops = append(ops, store.Put(poolKeys+l.IP.String(), b))
	}
	if _, err := p.store.Txn(ctx, nil, ops...); err != nil {
		return fmt.Errorf("save leases: %w", err)
	}
	return nil
}
