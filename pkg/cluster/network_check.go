package cluster

import (
	"net/netip"
	"slices"
	"strings"
)

// taken is an address that a node has, with its place.
type taken struct {
	addr placed[netip.Addr]
	node string
}

// link checks and resolves what is said of an interface.
func (w *wiring) link(l link, name placed[string]) Link {
	out := l.resolved(name.at)
	for _, a := range l.addresses {
		w.address(a)
	}
	seen := map[bool]bool{}
	for _, g := range l.gateways {
		if seen[g.v.Is4()] {
			w.fail(g.at, g.path, "%s: a gateway per family is the most", w.node)
		}
		seen[g.v.Is4()] = true
		w.nextHop(g, "the gateway", l, out.DHCP)
	}
	for _, r := range l.routes {
		if r.v.To.Addr().Is4() != r.v.Via.Is4() {
			w.fail(r.at, r.path, "%s: %s is of another family than %s", w.node, r.v.Via, r.v.To)
			continue
		}
		w.nextHop(placed[netip.Addr]{r.v.Via, r.at, r.path}, "the next hop", l, out.DHCP)
	}
	if l.mtu != nil && out.MTU < minMTU6 && slices.ContainsFunc(out.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		w.fail(l.mtu.at, l.mtu.path, "IPv6 wants %d at least", minMTU6)
	}
	return out
}

// address refuses what no host can have, and notes the others.
func (w *wiring) address(a placed[netip.Prefix]) {
	addr := a.v.Addr()
	switch {
	case addr.Is4In6():
		w.fail(a.at, a.path, "%s is an IPv4 address in IPv6 form: write %s", addr, addr.Unmap())
		return
	case !addr.IsValid() || addr.IsUnspecified() || addr.IsLoopback() || addr.IsMulticast():
		w.fail(a.at, a.path, "no host has the address %s", addr)
		return
	case a.v.Bits() == 0:
		w.fail(a.at, a.path, "%s: a subnet of the whole Internet", a.v)
		return
	case addr.Is4() && a.v.Bits() < 31 && addr == a.v.Masked().Addr():
		w.fail(a.at, a.path, "%s is the address of the subnet itself, not of a host in it", a.v)
		return
	case addr.Is4() && a.v.Bits() < 31 && addr == lastAddr(a.v):
		w.fail(a.at, a.path, "%s is the broadcast address of its subnet", a.v)
		return
	case a.v.Overlaps(w.site.Network):
		w.fail(a.at, a.path, "%s overlaps the rack-internal network %s", a.v, w.site.Network)
		return
	}
	w.addrs = append(w.addrs, taken{placed[netip.Addr]{addr, a.at, a.path}, w.node})
}

// lastAddr is the highest address of an IPv4 subnet.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// nextHop wants a router in a subnet of the link. What DHCP brings is not known.
func (w *wiring) nextHop(hop placed[netip.Addr], what string, l link, dhcp string) {
	if hop.v.IsLinkLocalUnicast() {
		return
	}
	var subnets []string
	for _, a := range l.addresses {
		if a.v.Addr() == hop.v {
			w.fail(hop.at, hop.path, "%s: %s %s is the node's own address", w.node, what, hop.v)
			return
		}
		if a.v.Contains(hop.v) {
			return
		}
		if a.v.Addr().Is4() == hop.v.Is4() {
			subnets = append(subnets, a.v.Masked().String())
		}
	}
	dynamic := dhcp == DHCPOn || dhcp == DHCPv4 && hop.v.Is4() || dhcp == DHCPv6 && hop.v.Is6()
	switch {
	case len(subnets) > 0:
		w.fail(hop.at, hop.path, "%s: %s %s is outside of %s", w.node, what, hop.v, strings.Join(subnets, ", "))
	case !dynamic:
		w.fail(hop.at, hop.path, "%s: %s %s is given, but no address of its family", w.node, what, hop.v)
	}
}

// sizes holds the MTU of each VLAN against that of what it is on.
func (w *wiring) sizes() {
	for _, v := range w.out.VLANs {
		parent, name := 0, v.Parent
		for _, b := range w.out.Bonds {
			if b.Name == v.Parent {
				parent = b.MTU
			}
		}
		for _, n := range w.out.NICs {
			if v.Parent == "" && n.MAC == v.ParentMAC {
				parent = n.MTU
			}
		}
		if name == "" {
			name = v.ParentMAC.String()
		}
		if parent == 0 {
			parent = ethMTU
		}
		if v.MTU > parent {
			w.fail(v.at, "", "%s: the MTU of VLAN %s, %d, is more than that of %s, %d", w.node, v.Name, v.MTU, name, parent)
		}
	}
}

// reachable looks at the network as a whole: one way out per family, and somebody to ask for names.
func (w *wiring) reachable() {
	ways := map[bool]int{}
	static, dynamic := false, false
	for l := range w.out.links() {
		static = static || len(l.Addresses) > 0
		dynamic = dynamic || l.DHCP != DHCPOff
		for _, g := range l.Gateways {
			if ways[g.Is4()]++; ways[g.Is4()] == 2 {
				w.fail(l.at, "", "%s: two interfaces have a gateway of the same family; name the networks behind one of them in routes", w.node)
			}
		}
	}
	if static && !dynamic && w.out.DNS == nil {
		w.fail(w.said.at, w.said.path, "%s: its addresses are static, and dns is missing; dns: none says that this is meant", w.node)
	}
}

// together compares the nodes with one another.
func (c *checker) together(specs []Spec) {
	seen := map[netip.Addr]taken{}
	for _, t := range c.addrs {
		if other, twice := seen[t.addr.v]; twice {
			c.fail(t.addr.at, t.addr.path, "%s is the address of %s, and on line %d of %s", t.addr.v, t.node, other.addr.at.line, other.node)
			continue
		}
		seen[t.addr.v] = t
	}
	for i := range specs {
		for l := range specs[i].Network.links() {
			for _, g := range l.Gateways {
				if other, ok := seen[g]; ok && other.node != c.site.Nodes[i].Where {
					c.fail(l.at, "", "%s: its gateway %s is the address of %s (line %d)", c.site.Nodes[i].Where, g, other.node, other.addr.at.line)
				}
			}
		}
	}
	if n := len(c.bare); n > 0 {
		c.warn(pos{}, "", "without a secondary NIC in nodes.csv, and so without a public network: %s", some(c.bare))
	}
}

// some names a few of many.
func some(names []string) string {
	const few = 5
	if len(names) > few {
		return strings.Join(names[:few], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
