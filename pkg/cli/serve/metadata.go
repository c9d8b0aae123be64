package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/netif"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// planKey is where the address plan is kept.
const planKey = "plan"

// metadata reads nodes.csv and keeps the address plan in the store, so that no address ever moves.
type metadata struct {
	settings config.Settings
	store    store.Store
	mu       sync.Mutex
}

// Load implements provision.Metadata.
func (m *metadata) Load(ctx context.Context, moved map[rack.MAC]rack.MAC) (*rack.Rack, *rack.Plan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.rows()
	if err != nil {
		return nil, nil, err
	}
	plan, err := m.plan(ctx, r, moved)
	if err != nil {
		return nil, nil, err
	}
	plan.Apply(r)
	return r, plan, nil
}

// rows reads nodes.csv with the machine's own interfaces in view.
func (m *metadata) rows() (*rack.Rack, error) {
	local, err := LocalInterfaces()
	if err != nil {
		return nil, err
	}
	return ReadRack(&m.settings, local)
}

func (m *metadata) plan(ctx context.Context, r *rack.Rack, moved map[rack.MAC]rack.MAC) (*rack.Plan, error) {
	var prev *rack.Plan
	kv, err := m.store.Get(ctx, planKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("address plan: %w", err)
	default:
		prev = new(rack.Plan)
		if err := json.Unmarshal(kv.Value, prev); err != nil {
			return nil, fmt.Errorf("stored address plan: %w", err)
		}
	}
	next, err := rack.MakePlan(m.settings.Internal.Prefix, r, prev.Moved(r, moved))
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(next)
	if err != nil {
		return nil, fmt.Errorf("address plan: %w", err)
	}
	if string(b) == string(kv.Value) {
		return next, nil
	}
	if _, err := m.store.Txn(ctx, nil, store.Put(planKey, b)); err != nil {
		return nil, fmt.Errorf("store the address plan: %w", err)
	}
	return next, nil
}

// internal finds the internal interface, and proves that it has the management node's address.
func (m *metadata) internal(r *rack.Rack, plan *rack.Plan) (string, error) {
	local, err := LocalInterfaces()
	if err != nil {
		return "", err
	}
	name, err := InternalInterface(&m.settings, r, local)
	if err != nil {
		return "", err
	}
	addr := netip.PrefixFrom(plan.Server(), plan.Prefix.Bits())
	if err := netif.AddAddress(name, addr); err != nil {
		return "", fmt.Errorf("address %s on the internal interface %s: %w", addr, name, err)
	}
	return name, nil
}
