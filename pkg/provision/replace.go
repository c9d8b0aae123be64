package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// replacement is new hardware for a row that the operator ordered. It is taken when nodes.csv has the new MACs.
type replacement struct {
	Old replacedMACs `json:"old"`
	New replacedMACs `json:"new"`
	At  time.Time    `json:"at"`
}

type replacedMACs struct {
	Primary rack.MAC `json:"primary"`
	BMC     rack.MAC `json:"bmc"`
}

// Replace notes that a row gets new hardware. The caller writes nodes.csv and has it read again: then the node keeps its
// name, address, record and role.
func (m *Machine) Replace(ctx context.Context, word string, o api.Replace) (api.OrderView, error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	n, _, err := m.idle(word)
	if err != nil {
		return api.OrderView{}, err
	}
	r := replacement{Old: replacedMACs{n.Primary, n.BMC}, New: replacedMACs{n.Primary, n.BMC}, At: time.Now().UTC()}
	secondary := n.Secondary
	for _, w := range []struct {
		text string
		into *rack.MAC
	}{{o.Primary, &r.New.Primary}, {o.BMC, &r.New.BMC}, {o.Secondary, &secondary}} {
		if w.text == "" {
			continue
		}
		if *w.into, err = rack.ParseMAC(w.text); err != nil {
			return api.OrderView{}, fmt.Errorf("%w: %w", err, ErrRequest)
		}
		if other := m.Rack().Find(w.into.String()); other != nil && other.Primary != n.Primary {
			return api.OrderView{}, fmt.Errorf("%s is in the row of %s (line %d): %w", *w.into, other.Where(), other.Line, ErrRequest)
		}
	}
	if r.Old == r.New && secondary == n.Secondary {
		return m.done(n, false, "its row has these MACs already"), nil
	}
	if err := m.save(ctx, replaceKeys+n.Primary.String(), r); err != nil {
		return api.OrderView{}, fmt.Errorf("note the replacement of %s: %w", n.Where(), err)
	}
	return m.done(n, true, "its new hardware is noted, and taken when nodes.csv has it"), nil
}

func (m *Machine) replacements(ctx context.Context) ([]*replacement, error) {
	return replacements(ctx, m.store)
}

func replacements(ctx context.Context, st store.Store) ([]*replacement, error) {
	var out []*replacement
	err := load(ctx, st, replaceKeys, func(r *replacement) { out = append(out, r) })
	return out, err
}

// Moves tells which MACs take over from which by the replacements that were ordered and not taken yet.
func Moves(ctx context.Context, st store.Store) (map[rack.MAC]rack.MAC, error) {
	list, err := replacements(ctx, st)
	return moved(list), err
}

// moved tells which MAC takes over from which.
func moved(list []*replacement) map[rack.MAC]rack.MAC {
	out := map[rack.MAC]rack.MAC{}
	for _, r := range list {
		for old, now := range map[rack.MAC]rack.MAC{r.Old.Primary: r.New.Primary, r.Old.BMC: r.New.BMC} {
			if old != now && !old.IsZero() {
				out[old] = now
			}
		}
	}
	return out
}

// takeReplacements moves the records of replaced nodes to their new MACs. One whose rows are not written yet waits.
func (m *Machine) takeReplacements(ctx context.Context, next *rows, list []*replacement) error {
	for _, r := range list {
		n := next.servers[r.New.Primary]
		if n == nil || n.BMC != r.New.BMC || r.Old.Primary != r.New.Primary && next.servers[r.Old.Primary] != nil {
			continue
		}
		if err := m.take(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) take(ctx context.Context, r *replacement) error {
	ops := []store.Op{store.Delete(replaceKeys + r.Old.Primary.String())}
	e := m.entry(r.Old.Primary)
	var rec *Record
	if e != nil && r.Old.Primary != r.New.Primary {
		e.turn.Lock()
		defer e.turn.Unlock()
		rec = e.rec.Load().clone()
		rec.MAC, rec.Session = r.New.Primary, nil
		if rec.Install != nil {
			rec.Install.Config = "" // it was made for the NICs that went
		}
		op, err := put(nodeKeys+r.New.Primary.String(), rec)
		if err != nil {
			return err
		}
		moves, err := m.moveConfigs(ctx, r.Old.Primary, r.New.Primary)
		if err != nil {
			return err
		}
		keys, err := m.keys.moves(ctx, r.Old.Primary, r.New.Primary)
		if err != nil {
			return err
		}
		ops = append(append(append(ops, store.Delete(nodeKeys+r.Old.Primary.String()), op), moves...), keys...)
	}
	if _, err := m.store.Txn(ctx, nil, ops...); err != nil {
		return fmt.Errorf("take the replacement of %s: %w", r.Old.Primary, err)
	}
	if rec == nil {
		return nil
	}
	m.keys.moved(r.Old.Primary, r.New.Primary)
	m.hostNames.move(r.Old.Primary, r.New.Primary)
	m.mu.Lock()
	delete(m.nodes, r.Old.Primary)
	m.nodes[rec.MAC] = newEntry(rec)
	m.mu.Unlock()
	m.note(rec.MAC, event.Event{Kind: event.Transition, Message: fmt.Sprintf("new hardware: %s was %s", rec.MAC, r.Old.Primary)})
	return nil
}

// Reread reads nodes.csv again, and tells what changed. A row of a node that a run is at work on may not go. Errors match
// ErrBusy, or are the file's.
func (m *Machine) Reread(ctx context.Context) (api.ReloadView, error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	before := m.inForce()
	list, err := m.replacements(ctx)
	if err != nil {
		return api.ReloadView{}, err
	}
	if err := m.mayGo(ctx, list); err != nil {
		return api.ReloadView{}, err
	}
	if err := m.Reload(ctx); err != nil {
		return api.ReloadView{}, err
	}
	after := m.inForce()
	v := api.ReloadView{Added: []string{}, Removed: []string{}, Replaced: []string{}}
	took := map[rack.MAC]bool{}
	for _, r := range list {
		if n := after.servers[r.New.Primary]; n != nil && n.BMC == r.New.BMC {
			v.Replaced = append(v.Replaced, n.Where())
			took[r.New.Primary], took[r.Old.Primary] = true, true
		}
	}
	for _, n := range after.list {
		if before.servers[n.Primary] == nil && !took[n.Primary] {
			v.Added = append(v.Added, n.Where())
		}
	}
	for _, n := range before.list {
		if after.servers[n.Primary] == nil && !took[n.Primary] {
			v.Removed = append(v.Removed, n.Name)
		}
	}
	return v, nil
}

var errRowGoes = errors.New("its row went from nodes.csv, or changed")

// mayGo refuses a file that lacks the row of a node which a run is at work on.
func (m *Machine) mayGo(ctx context.Context, list []*replacement) error {
	open := m.open()
	if len(open) == 0 {
		return nil
	}
	r, plan, err := m.needs.Metadata.Load(ctx, moved(list))
	if err != nil {
		return err
	}
	next := newRows(r, plan)
	for _, run := range open {
		for _, mac := range run.Nodes {
			n, _ := m.node(mac)
			if n == nil {
				continue
			}
			now := next.servers[mac]
			if now == nil || now.BMC != n.BMC || now.BMCAddress != n.BMCAddress || now.Serial != n.Serial {
				return fmt.Errorf("%s: %w, and it has the order %s: %w", n.Where(), errRowGoes, run.ID, ErrBusy)
			}
		}
	}
	return nil
}
