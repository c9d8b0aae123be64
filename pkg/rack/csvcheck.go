package rack

import (
	"fmt"
	"net/netip"
	"strings"
)

// checkDuplicates reports every MAC, name, serial and BMC address that is there twice, at its second place. MACs are
// compared across all three columns.
func (f *csvFile) checkDuplicates() {
	macs, names, serials, addrs := f.newOnce("MAC address"), f.newOnce("name"), f.newOnce("serial"), f.newOnce("BMC address")
	for i := range f.text {
		r := &f.text[i]
		for _, v := range []struct{ title, text string }{
			{colPrimary, r.Primary}, {colBMC, r.BMC}, {colSecondary, r.Secondary},
		} {
			if m, err := ParseMAC(v.text); err == nil {
				macs.add(i, v.title, m.String())
			}
		}
		names.add(i, colName, strings.ToLower(r.Name))
		serials.add(i, colSerial, strings.ToLower(r.Serial))
		if a, err := netip.ParseAddr(r.BMCAddress); err == nil {
			addrs.add(i, colBMCAddress, a.Unmap().String())
		}
	}
}

// once remembers where each value of a kind was first seen.
type once struct {
	f    *csvFile
	kind string
	seen map[string]seenAt
}

type seenAt struct {
	line  int
	title string
}

func (f *csvFile) newOnce(kind string) once { return once{f: f, kind: kind, seen: map[string]seenAt{}} }

func (o once) add(i int, title, value string) {
	if value == "" {
		return
	}
	at := o.f.place(i, title)
	first, twice := o.seen[value]
	if !twice {
		o.seen[value] = seenAt{at.line, title}
		return
	}
	o.f.fail(at, fmt.Sprintf("%s %s is used twice: on line %d (%s) and on line %d (%s)",
		o.kind, shorten(value), first.line, first.title, at.line, title), "")
}

// findManagement marks the management node's row and checks its secondary MAC.
func (f *csvFile) findManagement(r *Rack) {
	local := f.localMACs()
	if local == nil {
		return
	}
	found := -1
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if local[n.Primary] == "" && local[n.Secondary] == "" {
			continue
		}
		if found >= 0 {
			f.fail(f.place(i, colPrimary), fmt.Sprintf("this row and the one on line %d both hold a MAC of this machine: "+
				"which is the management node?", r.Nodes[found].Line), "name it with --management-mac")
			continue
		}
		found = i
		n.Management = true
	}
	switch {
	case found >= 0:
		f.checkSecondary(found, &r.Nodes[found], local)
	case !f.opt.ManagementMAC.IsZero():
		f.fail(f.head.at, fmt.Sprintf("no row has the MAC address %s of the management node", f.opt.ManagementMAC), "")
	default:
		f.fail(f.head.at, "no row holds a MAC address of this machine, so none is the management node's",
			"add its row, or name it with --management-mac where this is not the management node")
	}
}

// localMACs gives the MACs that mark the management node's row, with the names of their interfaces, or nil when the
// node stays open.
func (f *csvFile) localMACs() map[MAC]string {
	if m := f.opt.ManagementMAC; !m.IsZero() {
		return map[MAC]string{m: m.String()}
	}
	if f.opt.SkipLocal {
		return nil
	}
	local := map[MAC]string{}
	for _, ifc := range f.opt.Local {
		if !ifc.MAC.IsZero() {
			local[ifc.MAC] = ifc.Name
		}
	}
	return local
}

func (f *csvFile) checkSecondary(i int, n *Node, local map[MAC]string) {
	if n.Secondary.IsZero() {
		if f.text[i].Secondary == "" {
			f.fail(f.place(i, colSecondary), "the management node has no secondary MAC address",
				"it is the MAC of the interface on the rack-internal network")
		}
		return
	}
	if f.opt.ManagementMAC.IsZero() && f.opt.InternalInterface == "" && local[n.Secondary] == "" {
		f.fail(f.place(i, colSecondary), fmt.Sprintf("the management node's secondary MAC address %s is on no interface: "+
			"there is %s", n.Secondary, interfaceList(f.opt.Local)), "set internal.interface to use another interface")
	}
}

// checkPowered reports servers without a BMC: they could never be powered. Without a management node nobody knows
// which row may lack one.
func (f *csvFile) checkPowered(r *Rack) {
	if r.Management() == nil || (f.head.column(colBMC) < 0 && f.head.column(colBMCAddress) < 0) {
		return
	}
	for i := range f.text {
		t := &f.text[i]
		if t.BMC == "" && t.BMCAddress == "" && !r.Nodes[i].Management {
			f.fail(f.place(i, colBMC), "a server needs a BMC MAC address or a BMC Address, else it cannot be powered", "")
		}
	}
}

// InternalInterface names the interface that holds the management node's secondary MAC. Interfaces that share the MAC
// (a VLAN and what it is on) are an error that names them, as is none.
func InternalInterface(rack *Rack, local []Interface) (string, error) {
	m := rack.Management()
	if m == nil {
		return "", fmt.Errorf("internal interface: nodes.csv has no management node")
	}
	var fit []string
	for _, ifc := range local {
		if ifc.MAC == m.Secondary && !m.Secondary.IsZero() {
			fit = append(fit, ifc.Name)
		}
	}
	switch len(fit) {
	case 1:
		return fit[0], nil
	case 0:
		return "", fmt.Errorf("internal interface: the management node's secondary MAC address %s is on no interface: there is %s",
			m.Secondary, interfaceList(local))
	}
	return "", fmt.Errorf("internal interface: %s all have the MAC address %s: set internal.interface to the right one",
		strings.Join(fit, ", "), m.Secondary)
}

func interfaceList(local []Interface) string {
	var out []string
	for _, ifc := range local {
		if !ifc.MAC.IsZero() {
			out = append(out, ifc.Name+" "+ifc.MAC.String())
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
