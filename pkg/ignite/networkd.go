package ignite

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/racker-project/racker/pkg/cluster"
	"github.com/racker-project/racker/pkg/rack"
)

// networkDir holds the files of systemd-networkd.
const networkDir = "/etc/systemd/network/"

// nodeFile is a file of a node's config.
type nodeFile struct {
	path string
	mode int
	text string
}

// ini writes the files of systemd: sections with settings, in the order in which they come.
type ini struct{ b strings.Builder }

func (i *ini) section(name string) {
	if i.b.Len() > 0 {
		i.b.WriteByte('\n')
	}
	fmt.Fprintf(&i.b, "[%s]\n", name)
}

// set writes a setting, unless it says nothing.
func (i *ini) set(key, value string) {
	if value != "" {
		fmt.Fprintf(&i.b, "%s=%s\n", key, value)
	}
}

// networkd makes the files for a node's network. The boot NIC is always in them: it, or the bond that it is a member of, has
// the internal address, with the scope of the link, no route beyond it, and no part in network-online.target.
//
// Source: systemd.network(5), systemd.netdev(5).
func networkd(s *cluster.Spec) []nodeFile {
	w := &wired{spec: s, net: &s.Network}
	w.nic(s.MAC)
	for i := range w.net.NICs {
		w.nic(w.net.NICs[i].MAC)
	}
	for i := range w.net.VLANs {
		if v := &w.net.VLANs[i]; v.Parent == "" {
			w.nic(v.ParentMAC)
		}
	}
	for i := range w.net.Bonds {
		for _, mac := range w.net.Bonds[i].Members {
			w.nic(mac)
		}
	}
	for i := range w.net.Bonds {
		w.bond(&w.net.Bonds[i])
	}
	for i := range w.net.VLANs {
		w.vlan(&w.net.VLANs[i])
	}
	return w.files
}

// wired writes the files of one node.
type wired struct {
	spec  *cluster.Spec
	net   *cluster.Network
	files []nodeFile
	done  map[rack.MAC]bool
}

func (w *wired) file(name string, i *ini) {
	w.files = append(w.files, nodeFile{networkDir + name, 0o644, i.b.String()})
}

// nic writes the file of a NIC, once.
func (w *wired) nic(mac rack.MAC) {
	if w.done == nil {
		w.done = map[rack.MAC]bool{}
	}
	if w.done[mac] {
		return
	}
	w.done[mac] = true
	name := "10-racker-nic-" + strings.ReplaceAll(mac.String(), ":", "") + ".network"
	if mac == w.spec.MAC {
		name = internalFile
	}
	i := &ini{}
	i.section("Match")
	if b := w.net.BondOf(mac); b != nil {
		// A bond gives all its members one MAC: only their permanent ones tell them apart.
		i.set("PermanentMACAddress", mac.String())
		i.set("Kind", "!*")
		i.section("Network")
		i.set("Bond", b.Name)
		if b.Primary == mac {
			i.set("PrimarySlave", "yes")
		}
		w.file(name, i)
		return
	}
	i.set("MACAddress", mac.String())
	i.set("Type", "ether")
	i.set("Kind", "!*") // VLANs share the MAC of what they are on
	link := cluster.Link{}
	for n := range w.net.NICs {
		if w.net.NICs[n].MAC == mac {
			link = w.net.NICs[n].Link
		}
	}
	w.link(i, &link, mac == w.spec.MAC, w.vlansOn("", mac))
	w.file(name, i)
}

// vlansOn names the VLANs on a bond, or on a NIC where bond is empty.
func (w *wired) vlansOn(bond string, mac rack.MAC) []string {
	var out []string
	for i := range w.net.VLANs {
		v := &w.net.VLANs[i]
		if v.Parent == bond && (bond != "" || v.ParentMAC == mac) {
			out = append(out, v.Name)
		}
	}
	return out
}

func (w *wired) bond(b *cluster.Bond) {
	internal := false
	for _, mac := range b.Members {
		internal = internal || mac == w.spec.MAC
	}
	dev := &ini{}
	dev.section("NetDev")
	dev.set("Name", b.Name)
	dev.set("Kind", "bond")
	if internal {
		// The node keeps the address by which racker, and its leases, know it.
		dev.set("MACAddress", w.spec.MAC.String())
	}
	dev.section("Bond")
	dev.set("Mode", b.Mode)
	dev.set("MIIMonitorSec", "100ms")
	if b.Mode == cluster.Bond802 {
		dev.set("TransmitHashPolicy", "layer3+4")
		dev.set("LACPTransmitRate", b.LACPRate)
	}
	w.file("10-racker-"+b.Name+".netdev", dev)
	i := &ini{}
	i.section("Match")
	i.set("Name", b.Name)
	w.link(i, &b.Link, internal, w.vlansOn(b.Name, rack.MAC{}))
	w.file("10-racker-"+b.Name+".network", i)
}

func (w *wired) vlan(v *cluster.VLAN) {
	dev := &ini{}
	dev.section("NetDev")
	dev.set("Name", v.Name)
	dev.set("Kind", "vlan")
	dev.section("VLAN")
	dev.set("Id", fmt.Sprint(v.ID))
	w.file("10-racker-"+v.Name+".netdev", dev)
	i := &ini{}
	i.section("Match")
	i.set("Name", v.Name)
	w.link(i, &v.Link, false, nil)
	w.file("10-racker-"+v.Name+".network", i)
}

// link writes what follows the [Match] of an interface with addresses.
func (w *wired) link(i *ini, l *cluster.Link, internal bool, vlans []string) {
	public := l.Public()
	i.section("Link")
	if l.MTU > 0 {
		i.set("MTUBytes", fmt.Sprint(l.MTU))
	}
	i.set("RequiredForOnline", yesNo(public))
	i.section("Network")
	i.set("DHCP", dhcpWord(l.DHCP))
	has6 := l.DHCP == cluster.DHCPOn || l.DHCP == cluster.DHCPv6 || hasIPv6(l)
	i.set("LinkLocalAddressing", map[bool]string{true: "ipv6", false: "no"}[has6])
	i.set("IPv6AcceptRA", yesNo(l.DHCP == cluster.DHCPOn || l.DHCP == cluster.DHCPv6))
	for _, a := range l.Addresses {
		i.set("Address", a.String())
	}
	for _, g := range l.Gateways {
		i.set("Gateway", g.String())
	}
	if public {
		for _, d := range w.net.DNS {
			i.set("DNS", d.String())
		}
		i.set("Domains", strings.Join(w.net.Search, " "))
	}
	for _, v := range vlans {
		i.set("VLAN", v)
	}
	if internal {
		i.section("Address")
		i.set("Address", w.spec.Internal.Address.String())
		i.set("Scope", "link")
	}
	for _, r := range l.Routes {
		i.section("Route")
		i.set("Destination", r.To.String())
		i.set("Gateway", r.Via.String())
		if r.Metric > 0 {
			i.set("Metric", fmt.Sprint(r.Metric))
		}
	}
}

func hasIPv6(l *cluster.Link) bool {
	for _, a := range l.Addresses {
		if a.Addr().Is6() {
			return true
		}
	}
	return anyIPv6(l.Gateways)
}

func anyIPv6(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if a.Is6() {
			return true
		}
	}
	return false
}

func yesNo(on bool) string {
	if on {
		return "yes"
	}
	return "no"
}

func dhcpWord(word string) string {
	if word == cluster.DHCPOff {
		return "no"
	}
	return word
}
