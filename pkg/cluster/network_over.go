package cluster

import (
	"net/netip"
	"slices"
	"strings"
)

// over lays what a more specific level says over this one. "dhcp" and "none" replace all interfaces; else the interfaces are
// joined name by name and each key by key, so that a type may have the bond and the gateway, and its nodes their addresses.
func (n *network) over(more *network) *network {
	if n == nil || more == nil {
		return first(more, n)
	}
	out := *n
	out.at, out.path = more.at, more.path
	if more.mode != "" {
		out.link, out.nic, out.nics, out.bonds, out.vlans = nil, nil, nil, nil, nil
	}
	if more.mode != "" || more.link != nil || more.nics != nil || more.bonds != nil || more.vlans != nil {
		out.mode = more.mode
	}
	out.nic = first(more.nic, out.nic)
	if more.link != nil && out.link != nil {
		l := out.link.over(*more.link)
		out.link = &l
	} else {
		out.link = first(more.link, out.link)
	}
	out.nics = overEach(out.nics, more.nics, link.over)
	out.bonds = overEach(out.bonds, more.bonds, bond.over)
	out.vlans = overEach(out.vlans, more.vlans, vlan.over)
	if more.dns != nil {
		out.dns = more.dns
	}
	if more.search != nil {
		out.search = more.search
	}
	if more.ntp != nil {
		out.ntp = more.ntp
	}
	return &out
}

func overEach[T any](below, above []named[T], over func(T, T) T) []named[T] {
	out := slices.Clone(below)
	for _, a := range above {
		i := slices.IndexFunc(out, func(b named[T]) bool { return strings.EqualFold(b.name.v, a.name.v) })
		if i < 0 {
			out = append(out, a)
			continue
		}
		out[i] = named[T]{a.name, over(out[i].v, a.v)}
	}
	return out
}

func (l link) over(more link) link {
	l.dhcp, l.mtu = first(more.dhcp, l.dhcp), first(more.mtu, l.mtu)
	if more.addresses != nil {
		l.addresses = more.addresses
	}
	if more.gateways != nil {
		l.gateways = more.gateways
	}
	if more.routes != nil {
		l.routes = more.routes
	}
	return l
}

func (b bond) over(more bond) bond {
	b.link = b.link.over(more.link)
	if more.mode != "" {
		b.mode = more.mode
	}
	if more.members != nil {
		b.members = more.members
	}
	b.lacpRate, b.primary = first(more.lacpRate, b.lacpRate), first(more.primary, b.primary)
	return b
}

func (v vlan) over(more vlan) vlan {
	v.link = v.link.over(more.link)
	v.id, v.on = first(more.id, v.id), first(more.on, v.on)
	return v
}

// resolved gives the link as a Spec has it.
func (l link) resolved(at pos) Link {
	out := Link{at: at}
	if l.dhcp != nil {
		out.DHCP = *l.dhcp
	}
	for _, a := range l.addresses {
		out.Addresses = append(out.Addresses, netip.PrefixFrom(a.v.Addr(), a.v.Bits()))
	}
	for _, g := range l.gateways {
		out.Gateways = append(out.Gateways, g.v)
	}
	for _, r := range l.routes {
		out.Routes = append(out.Routes, r.v)
	}
	if l.mtu != nil {
		out.MTU = l.mtu.v
	}
	return out
}
