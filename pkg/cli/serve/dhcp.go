package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/event"
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

// watcher turns what the servers see into evidence, and the two packets that mean something into state.
type watcher struct {
	machine *provision.Machine
	events  provision.Publisher
	log     *slog.Logger
}

// Packet implements dhcpd.Observer.
func (w watcher) Packet(ctx context.Context, s dhcpd.Seen) {
	fields := map[string]string{"mac": s.MAC.String(), "xid": s.XID}
	if s.IP.IsValid() {
		fields["ip"] = s.IP.String()
	}
	kind, what := event.DHCPSeen, dhcpText(s)
	a, ok := w.machine.Assigned(s.MAC)
	if !ok {
		w.events.Publish(event.Event{Kind: event.Unknown, Message: "unknown machine " + s.MAC.String() + ": " + what, Fields: fields})
		return
	}
	if a.Role != rack.RoleServer {
		w.events.Publish(event.Event{Kind: kind, Message: a.Role + " " + s.MAC.String() + ": " + what, Fields: fields})
		return
	}
	w.machine.Note(s.MAC, event.Event{Kind: kind, Message: what, Fields: fields})
	if s.Reply != dhcpv4.MessageTypeAck {
		return
	}
	var err error
	switch {
	case s.Client.IPXE:
		err = w.machine.NetworkBoot(ctx, s.MAC)
	case !s.Client.PXE && !s.Client.HTTP:
		err = w.machine.SystemBoot(ctx, s.MAC)
	}
	if err != nil {
		w.log.WarnContext(ctx, "boot not noted", "mac", s.MAC, "err", err)
	}
}

func dhcpText(s dhcpd.Seen) string {
	text := "DHCP " + s.Type.String()
	switch {
	case s.Client.IPXE:
		text += " of iPXE"
	case s.Client.HTTP:
		text += " of UEFI HTTP boot"
	case s.Client.PXE:
		text += " of PXE firmware"
	}
	if s.Reply != dhcpv4.MessageTypeNone {
		text += ", answered " + s.Reply.String()
	}
	if s.IP.IsValid() {
		text += " " + s.IP.String()
	}
	if s.File != "" {
		text += ", boot file " + s.File
	}
	if s.Ignored != "" {
		text += ", ignored: " + s.Ignored
	}
	if s.Problem != "" {
		text += "; " + s.Problem
	}
	return text
}
