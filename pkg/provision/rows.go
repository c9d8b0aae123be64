package provision

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

// rows is what nodes.csv said when it was read last, with indexes. It is never changed.
type rows struct {
	rack    *rack.Rack
	plan    *rack.Plan
	list    []*rack.Node // servers, in the order of the file
	servers map[rack.MAC]*rack.Node
	byMAC   map[rack.MAC]rack.Assignment
	byAddr  map[netip.Addr]rack.Assignment
}

func newRows(r *rack.Rack, p *rack.Plan) *rows {
	out := &rows{
		rack: r, plan: p, list: r.Servers(), servers: map[rack.MAC]*rack.Node{},
		byMAC: map[rack.MAC]rack.Assignment{}, byAddr: map[netip.Addr]rack.Assignment{},
	}
	for _, n := range out.list {
		out.servers[n.Primary] = n
	}
	for _, a := range p.Assignments {
		out.byMAC[a.MAC], out.byAddr[a.Addr] = a, a
	}
	return out
}

// Reload reads nodes.csv again. Nodes that are new become known; records of rows that went stay.
func (m *Machine) Reload(ctx context.Context) error {
	moves, err := m.replacements(ctx)
	if err != nil {
		return err
	}
	r, plan, err := m.needs.Metadata.Load(ctx, moved(moves))
	if err != nil {
		return err
	}
	next := newRows(r, plan)
	if err := m.takeReplacements(ctx, next, moves); err != nil {
		return err
	}
	m.mu.Lock()
	m.rows = next
	for _, n := range next.list {
		if m.nodes[n.Primary] == nil {
			m.nodes[n.Primary] = newEntry(&Record{MAC: n.Primary, State: Known, Since: time.Now().UTC()})
		}
	}
	m.mu.Unlock()
	m.any.fire()
	return nil
}

func (m *Machine) inForce() *rows {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.rows
}

// Plan gives the address plan in force.
func (m *Machine) Plan() *rack.Plan { return m.inForce().plan }

// Rack gives the rows in force.
func (m *Machine) Rack() *rack.Rack { return m.inForce().rack }

// Assigned finds the assignment of a MAC in the plan in force.
func (m *Machine) Assigned(mac rack.MAC) (rack.Assignment, bool) {
	a, ok := m.inForce().byMAC[mac]
	return a, ok
}

// AssignedAt finds the assignment of an address in the plan in force.
func (m *Machine) AssignedAt(addr netip.Addr) (rack.Assignment, bool) {
	a, ok := m.inForce().byAddr[addr]
	return a, ok
}

// Listed reports whether nodes.csv has a server with this primary MAC.
func (m *Machine) Listed(mac rack.MAC) bool { return m.inForce().servers[mac] != nil }

// find names a node by any word that an operator may use, addresses included.
func (m *Machine) find(word string) (*rack.Node, error) {
	r := m.inForce()
	if n := r.rack.Find(word); n != nil {
		return n, nil
	}
	if addr, err := netip.ParseAddr(word); err == nil {
		if n := r.at(addr); n != nil {
			return n, nil
		}
	}
	for _, n := range r.list {
		rec := m.record(n.Primary)
		if rec != nil && rec.Identity != nil && rec.Identity.UUID != "" && strings.EqualFold(rec.Identity.UUID, word) {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%q: %w", word, ErrNoNode)
}

// at finds the server that an address is leased to, or to whose BMC.
func (r *rows) at(addr netip.Addr) *rack.Node {
	a, ok := r.byAddr[addr]
	if !ok {
		return nil
	}
	if n := r.servers[a.MAC]; n != nil {
		return n
	}
	for _, n := range r.list {
		if n.BMC == a.MAC {
			return n
		}
	}
	return nil
}
