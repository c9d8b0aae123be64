package rack

import (
	"fmt"
	"net/netip"
	"strings"
)

// builder makes one plan.
type builder struct {
	plan       *Plan
	management *Node
	servers    []*Node
	taken      map[netip.Addr]bool
	next       uint32 // the lowest host number that may be free
}

// managementName is the management node's name where its row gives none.
const managementName = "management"

func newBuilder(prefix netip.Prefix, r *Rack, prev *Plan) *builder {
	b := &builder{
		plan: &Plan{Prefix: prefix}, management: r.Management(), servers: sorted(r.Servers()),
		taken: map[netip.Addr]bool{}, next: 2,
	}
	if prev != nil {
		for _, a := range prev.Assignments {
			// The first address goes with the management node, whichever machine that is, and with no other.
			atFirst := a.Addr == b.plan.Server()
			isManagement := b.management != nil && a.MAC == b.management.Secondary
			if !atFirst && !isManagement {
				b.add(a)
			}
		}
	}
	return b
}

func (b *builder) add(a Assignment) {
	b.plan.Assignments = append(b.plan.Assignments, a)
	b.taken[a.Addr] = true
}

// index finds a MAC among the assignments, -1 for none.
func (b *builder) index() map[MAC]int {
	at := make(map[MAC]int, len(b.plan.Assignments))
	for i, a := range b.plan.Assignments {
		at[a.MAC] = i
	}
	return at
}

// reserveBMCAddresses keeps the addresses that BMCs have by themselves out of the plan.
func (b *builder) reserveBMCAddresses(r *Rack) error {
	first, last := b.plan.Pool()
	for i := range r.Nodes {
		n := &r.Nodes[i]
		addr := n.BMCAddress
		if !b.plan.Prefix.Contains(addr) {
			continue
		}
		owner, owned := b.plan.ByAddr(addr)
		switch {
		case addr == b.plan.Server():
			return fmt.Errorf("the BMC Address %s on line %d is the management node's own", addr, n.Line)
		case addr.Compare(first) >= 0 && addr.Compare(last) <= 0:
			return fmt.Errorf("the BMC Address %s on line %d is in the pool for unknown machines, %s to %s", addr, n.Line, first, last)
		case addr == b.plan.host(0) || addr.Compare(last) > 0:
			return fmt.Errorf("the BMC Address %s on line %d is no host's in %s", addr, n.Line, b.plan.Prefix)
		case owned && owner.MAC != n.BMC:
			return fmt.Errorf("the BMC Address %s on line %d was given to %s", addr, n.Line, strings.TrimSpace(owner.Name+" "+owner.MAC.String()))
		}
		b.taken[addr] = true
	}
	return nil
}

// wanted lists who needs an address: servers, then BMCs in the same order.
func (b *builder) wanted() []Assignment {
	var all []Assignment
	for _, n := range b.servers {
		if !n.Primary.IsZero() {
			all = append(all, Assignment{MAC: n.Primary, Role: RoleServer})
		}
	}
	for _, n := range b.servers {
		if !n.BMC.IsZero() && !n.BMCAddress.IsValid() {
			all = append(all, Assignment{MAC: n.BMC, Role: RoleBMC})
		}
	}
	return all
}

func (b *builder) assign() error {
	at := b.index()
	var missing []Assignment
	for _, a := range b.wanted() {
		if i, ok := at[a.MAC]; ok {
			b.plan.Assignments[i].Role = a.Role
			continue
		}
		missing = append(missing, a)
	}
	if m := b.management; m != nil && !m.Secondary.IsZero() {
		b.add(Assignment{MAC: m.Secondary, Addr: b.plan.Server(), Role: RoleManagement})
	}
	for i, a := range missing {
		addr, ok := b.free()
		if !ok {
			return b.full(len(missing) - i)
		}
		a.Addr = addr
		b.add(a)
	}
	return nil
}

// free takes the lowest free address of the static half.
func (b *builder) free() (netip.Addr, bool) {
	for ; b.next < networkSize(b.plan.Prefix)/2; b.next++ {
		if addr := b.plan.host(b.next); !b.taken[addr] {
			b.next++
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// full says how many fit, how many are needed, and which prefix would do.
func (b *builder) full(missing int) error {
	fit := int(networkSize(b.plan.Prefix)/2) - 2
	needed := missing + fit
	gone := 0
	at := map[MAC]bool{}
	for _, a := range b.wanted() {
		at[a.MAC] = true
	}
	for _, a := range b.plan.Assignments {
		if a.Role != RoleManagement && !at[a.MAC] {
			gone++
		}
	}
	msg := fmt.Sprintf("%s is full: %d servers and BMCs fit, %d are needed", b.plan.Prefix, fit, needed)
	if gone > 0 {
		msg += fmt.Sprintf(" (%d of them are no longer in nodes.csv and keep theirs until they are forgotten)", gone)
	}
	for bits := b.plan.Prefix.Bits() - 1; bits >= MinPrefixBits; bits-- {
		if int(networkSize(netip.PrefixFrom(b.plan.Server(), bits))/2)-2 >= needed {
			return fmt.Errorf("%s; a /%d would do", msg, bits)
		}
	}
	return fmt.Errorf("%s; no network up to /%d would do", msg, MinPrefixBits)
}
