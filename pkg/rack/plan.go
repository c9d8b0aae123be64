package rack

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// Roles of an Assignment.
const (
	RoleManagement = "management" // the management node's secondary MAC
	RoleServer     = "server"     // a server's primary MAC
	RoleBMC        = "bmc"        // the MAC of a server's BMC
)

// Assignment gives a MAC its address on the internal network.
type Assignment struct {
	MAC  MAC        `json:"mac"`
	Addr netip.Addr `json:"addr"`
	Role string     `json:"role"`
	// Name is the node's name; empty for BMCs. Kept, like the address, when rows come or go.
	Name string `json:"name,omitempty"`
}

// Plan is the address plan of the internal network: the lower half is static, the upper half the pool. It is a value
// to be stored; MakePlan carries it on when nodes.csv changes.
type Plan struct {
	Prefix netip.Prefix `json:"prefix"`
	// Assignments are sorted by address. A MAC that nodes.csv no longer has stays until Forget.
	Assignments []Assignment `json:"assignments"`
}

// Server is the management node's address, the first of the network.
func (p *Plan) Server() netip.Addr { return p.host(1) }

// Pool gives the first and last address for unknown machines: .128 and .254 of a /24.
func (p *Plan) Pool() (first, last netip.Addr) {
	size := networkSize(p.Prefix)
	return p.host(size / 2), p.host(size - 2)
}

// ByMAC finds the assignment of a MAC.
func (p *Plan) ByMAC(m MAC) (Assignment, bool) {
	return p.find(func(a Assignment) bool { return a.MAC == m })
}

// ByAddr finds the assignment of an address.
func (p *Plan) ByAddr(addr netip.Addr) (Assignment, bool) {
	return p.find(func(a Assignment) bool { return a.Addr == addr })
}

func (p *Plan) find(fits func(Assignment) bool) (Assignment, bool) {
	if i := slices.IndexFunc(p.Assignments, fits); i >= 0 {
		return p.Assignments[i], true
	}
	return Assignment{}, false
}

// Forget frees the address of a MAC and reports whether it had one. A MAC that nodes.csv still has gets an address,
// maybe another, from the next MakePlan.
func (p *Plan) Forget(m MAC) bool {
	before := len(p.Assignments)
	p.Assignments = slices.DeleteFunc(p.Assignments, func(a Assignment) bool { return a.MAC == m })
	return len(p.Assignments) < before
}

// Moved gives the plan in which new MACs have the addresses and names of old ones: of those pairs of which r, the rows
// to be planned, has the new MAC and no longer the old. The plan itself is not changed; nil stays nil.
func (p *Plan) Moved(r *Rack, moved map[MAC]MAC) *Plan {
	if p == nil || len(moved) == 0 {
		return p
	}
	rows := map[MAC]bool{}
	for i := range r.Nodes {
		rows[r.Nodes[i].Primary], rows[r.Nodes[i].BMC] = true, true
	}
	next := &Plan{Prefix: p.Prefix, Assignments: slices.Clone(p.Assignments)}
	for old, now := range moved {
		if _, has := next.ByMAC(now); has || !rows[now] || rows[old] {
			continue
		}
		for i := range next.Assignments {
			if next.Assignments[i].MAC == old {
				next.Assignments[i].MAC = now
			}
		}
	}
	return next
}

// Apply fills Name of every node that the plan knows.
func (p *Plan) Apply(r *Rack) {
	for i := range r.Nodes {
		n := &r.Nodes[i]
		mac := n.Primary
		if n.Management {
			mac = n.Secondary
		}
		if a, ok := p.ByMAC(mac); ok && a.Name != "" {
			n.Name = a.Name
		}
	}
}

// host gives address number n of the network; 0 is the network's own.
func (p *Plan) host(n uint32) netip.Addr {
	base := p.Prefix.Masked().Addr().As4()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+n)
	return netip.AddrFrom4(b)
}

// networkSize is how many addresses the prefix has, network and broadcast address included.
func networkSize(p netip.Prefix) uint32 { return 1 << (32 - p.Bits()) }

// MakePlan gives every server and BMC of r an address in prefix. prev is the plan until now, nil for none; it is not
// changed. What has an address keeps it. At the first plan servers sorted by primary MAC come first, then their BMCs
// in the same order; later ones take the lowest free address. A BMC with a BMC Address, and the management node's own
// BMC, get none.
func MakePlan(prefix netip.Prefix, r *Rack, prev *Plan) (*Plan, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, fmt.Errorf("address plan: %w", err)
	}
	prefix = prefix.Masked()
	if prev != nil && prev.Prefix != prefix {
		return nil, fmt.Errorf("address plan: the network is %s, but addresses were given from %s", prefix, prev.Prefix)
	}
	b := newBuilder(prefix, r, prev)
	if err := b.reserveBMCAddresses(r); err != nil {
		return nil, fmt.Errorf("address plan: %w", err)
	}
	if err := b.assign(); err != nil {
		return nil, fmt.Errorf("address plan: %w", err)
	}
	if err := b.nameNodes(); err != nil {
		return nil, fmt.Errorf("address plan: %w", err)
	}
	slices.SortFunc(b.plan.Assignments, func(x, y Assignment) int { return x.Addr.Compare(y.Addr) })
	return b.plan, nil
}

// sorted gives the servers by primary MAC.
func sorted(servers []*Node) []*Node {
	slices.SortStableFunc(servers, func(a, b *Node) int { return compareMAC(a.Primary, b.Primary) })
	return servers
}

func compareMAC(a, b MAC) int {
	return cmp.Compare(binary.BigEndian.Uint64(append([]byte{0, 0}, a[:]...)), binary.BigEndian.Uint64(append([]byte{0, 0}, b[:]...)))
}
