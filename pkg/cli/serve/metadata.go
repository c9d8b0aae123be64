package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/netif"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// Keys of the store: the address plan, and the rows that were right last.
const (
	planKey = "plan"
	rowsKey = "rows"
)

// metadata reads nodes.csv and keeps the address plan in the store, so that no address ever moves.
type metadata struct {
	settings config.Settings
	store    store.Store
	log      *slog.Logger

	mu      sync.Mutex
	started bool   // orders are taken, and want a file that is right
	broken  string // why the file is not in force; empty when it is
}

// Load implements provision.Metadata. A file that is wrong when the daemon starts does not keep it down: servers that boot
// need it. The rows from before are in force then, until the file is right.
func (m *metadata) Load(ctx context.Context, moved map[rack.MAC]rack.MAC) (*rack.Rack, *rack.Plan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.rows()
	if err != nil && !m.started {
		if r = m.kept(ctx); r != nil {
			m.log.ErrorContext(ctx, "nodes.csv is wrong; the rows from before are in force", "err", err)
			m.broken, err = err.Error(), nil
		}
	} else if err == nil {
		m.broken = ""
		if err := m.keep(ctx, r); err != nil {
			return nil, nil, err
		}
	}
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

// start ends the time in which the rows from before may stand in for a file that is wrong.
func (m *metadata) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
}

// trouble says why nodes.csv is not in force; empty when it is.
func (m *metadata) trouble() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken == "" {
		return ""
	}
	return "the rows from before are in force, since nodes.csv is wrong: " + m.broken
}

// kept gives the rows that were right last; nil when there are none.
func (m *metadata) kept(ctx context.Context) *rack.Rack {
	kv, err := m.store.Get(ctx, rowsKey)
	if err != nil {
		return nil
	}
	r := new(rack.Rack)
	if err := json.Unmarshal(kv.Value, r); err != nil || r.Management() == nil {
		return nil
	}
	return r
}

// keep stores rows that are right, for a start with a file that is not.
func (m *metadata) keep(ctx context.Context, r *rack.Rack) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep the rows: %w", err)
	}
	if kv, err := m.store.Get(ctx, rowsKey); err == nil && string(kv.Value) == string(b) {
		return nil
	}
	if _, err := m.store.Txn(ctx, nil, store.Put(rowsKey, b)); err != nil {
		return fmt.Errorf("keep the rows: %w", err)
	}
	return nil
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
