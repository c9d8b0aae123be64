package cluster

import (
	"cmp"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/rack"
)

// wiring resolves one node's network.
type wiring struct {
	*checker
	row  *SiteNode
	node string // for errors
	said *network
	out  Network
	used map[rack.MAC]placed[string] // NICs that are taken, by whom
}

// network resolves what is said of a node's network, which is DHCP on its secondary NIC when nothing is. place is the node's.
func (c *checker) network(row *SiteNode, place placed[string], n *network) Network {
	if n == nil {
		n = &network{at: place.at, path: place.path + ".network"}
	}
	w := &wiring{checker: c, row: row, node: row.Where, said: n, used: map[rack.MAC]placed[string]{}}
	w.out = Network{DNS: n.dns, Search: n.search, NTP: n.ntp, at: n.at}
	full := len(n.nics)+len(n.bonds)+len(n.vlans) > 0
	switch {
	case n.mode == modeNone:
		w.out.None = true
		return w.out
	case !full && n.link == nil && n.nic == nil && row.Secondary.IsZero():
		// Nothing is asked of a NIC that the row does not have.
		w.out.None = true
		c.bare = append(c.bare, row.Where)
		return w.out
	}
	w.bonds()
	w.nics(full)
	w.vlans()
	w.sizes()
	w.reachable()
	return w.out
}

// nics resolves the NICs that have something of their own. The keys at the network itself are those of one NIC.
func (w *wiring) nics(full bool) {
	n := w.said
	if n.link != nil || n.nic != nil || !full {
		ref := placed[string]{nicSecondary, n.at, n.path}
		if n.nic != nil {
			ref = *n.nic
		}
		l := link{}
		if n.link != nil {
			l = *n.link
		}
		if l.dhcp == nil && len(l.addresses) == 0 && len(l.gateways) == 0 && len(l.routes) == 0 {
			on := DHCPOn
			l.dhcp = &on
		}
		w.nic(ref, l)
	}
	for _, entry := range n.nics {
		w.nic(entry.name, entry.v)
	}
	slices.SortFunc(w.out.NICs, func(a, b NIC) int { return strings.Compare(a.MAC.String(), b.MAC.String()) })
}

func (w *wiring) nic(ref placed[string], l link) {
	mac, ok := w.mac(ref)
	if !ok || !w.take(mac, ref, ref.path) {
		return
	}
	w.out.NICs = append(w.out.NICs, NIC{mac, w.link(l, ref)})
}

// take reserves a NIC for one use.
func (w *wiring) take(mac rack.MAC, ref placed[string], by string) bool {
	if other, twice := w.used[mac]; twice {
		w.fail(ref.at, ref.path, "%s: %s is used twice, first on line %d (%s)", w.node, mac, other.at.line, other.path)
		return false
	}
	w.used[mac] = placed[string]{by, ref.at, ref.path}
	return true
}

// mac resolves a word for a NIC. One that nobody knows is taken only where the machine was never looked at.
func (w *wiring) mac(ref placed[string]) (rack.MAC, bool) {
	switch ref.v {
	case nicPrimary:
		return w.row.Primary, true
	case nicSecondary:
		if w.row.Secondary.IsZero() {
			w.fail(ref.at, ref.path, "%s has no secondary NIC in nodes.csv", w.node)
			return rack.MAC{}, false
		}
		return w.row.Secondary, true
	}
	mac, err := rack.ParseMAC(ref.v)
	if err != nil {
		return mac, false // it was said when the file was read
	}
	owner := w.site.owner(mac)
	switch {
	case w.row.has(mac):
		return mac, true
	case owner == w.row:
		w.fail(ref.at, ref.path, "%s: %s is its BMC's", w.node, mac)
	case owner != nil:
		w.fail(ref.at, ref.path, "%s: %s is a MAC of %s", w.node, mac, owner.Where)
	case len(w.row.NICs) > 0:
		var have []string
		for _, nic := range w.row.NICs {
			have = append(have, nic.String())
		}
		w.fail(ref.at, ref.path, "%s: it has no NIC %s; it has %s", w.node, mac, strings.Join(have, ", "))
	default:
		w.warn(ref.at, ref.path, "%s: nobody has seen a NIC %s; racker knows those of a node once it was in the microkernel", w.node, mac)
		return mac, true
	}
	return mac, false
}

func (w *wiring) bonds() {
	for _, b := range sortedByName(w.said.bonds) {
		out := Bond{Name: b.name.v, Mode: b.v.mode, Link: w.link(b.v.link, b.name)}
		for _, ref := range b.v.members {
			if mac, ok := w.mac(ref); ok && w.take(mac, ref, b.name.path) {
				out.Members = append(out.Members, mac)
			}
		}
		if len(b.v.members) == 0 {
			w.fail(b.name.at, b.name.path, "a bond wants members")
		}
		w.bondMode(&out, b)
		w.out.Bonds = append(w.out.Bonds, out)
	}
}

func (w *wiring) bondMode(out *Bond, b named[bond]) {
	if out.Mode == "" {
		w.fail(b.name.at, b.name.path, "a bond wants a mode: %s or %s", Bond802, BondActiveBackup)
	}
	if b.v.lacpRate != nil {
		out.LACPRate = b.v.lacpRate.v
		if out.Mode == BondActiveBackup {
			w.fail(b.v.lacpRate.at, b.v.lacpRate.path, "goes with mode %s only", Bond802)
		}
	}
	if b.v.primary == nil {
		return
	}
	ref := *b.v.primary
	if out.Mode == Bond802 {
		w.fail(ref.at, ref.path, "goes with mode %s only", BondActiveBackup)
	}
	if mac, ok := w.mac(ref); ok {
		out.Primary = mac
		if !slices.Contains(out.Members, mac) {
			w.fail(ref.at, ref.path, "%s: %s is no member of %s", w.node, mac, out.Name)
		}
	}
}

func (w *wiring) vlans() {
	type tag struct {
		parent string
		id     int
	}
	seen := map[tag]string{}
	for _, v := range sortedByName(w.said.vlans) {
		out := VLAN{Name: v.name.v, Link: w.link(v.v.link, v.name)}
		if slices.ContainsFunc(w.out.Bonds, func(b Bond) bool { return b.Name == out.Name }) {
			w.fail(v.name.at, v.name.path, "a bond has this name")
		}
		if v.v.id == nil {
			w.fail(v.name.at, v.name.path, "a VLAN wants an id, 1 to 4094")
		} else {
			out.ID = v.v.id.v
		}
		if !w.parent(&out, v) {
			continue
		}
		this := tag{cmp.Or(out.Parent, out.ParentMAC.String()), out.ID}
		if other := seen[this]; other != "" && out.ID != 0 {
			w.fail(v.name.at, v.name.path, "%s has id %d on the same interface", other, out.ID)
		}
		seen[this] = out.Name
		w.out.VLANs = append(w.out.VLANs, out)
	}
}

// parent finds what a VLAN is on: a bond, or a NIC that is in none.
func (w *wiring) parent(out *VLAN, v named[vlan]) bool {
	if v.v.on == nil {
		w.fail(v.name.at, v.name.path, "a VLAN wants on: a bond, primary, secondary or the MAC of a NIC")
		return false
	}
	ref := *v.v.on
	var known []string
	for _, b := range w.out.Bonds {
		if b.Name == ref.v {
			out.Parent = b.Name
			return true
		}
		known = append(known, b.Name)
	}
	if _, err := rack.ParseMAC(ref.v); err != nil && ref.v != nicPrimary && ref.v != nicSecondary {
		w.fail(ref.at, ref.path, "%q: want a bond, primary, secondary or the MAC of a NIC%s", ref.v, suggest(ref.v, append(known, nicPrimary, nicSecondary)))
		return false
	}
	mac, ok := w.mac(ref)
	if b := w.out.BondOf(mac); ok && b != nil {
		w.fail(ref.at, ref.path, "%s: %s is a member of %s; its VLANs are on that", w.node, mac, b.Name)
		return false
	}
	out.ParentMAC = mac
	return ok
}

func sortedByName[T any](list []named[T]) []named[T] {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b named[T]) int { return cmp.Compare(a.name.v, b.name.v) })
	return out
}
