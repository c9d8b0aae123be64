package cluster

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/racker-project/racker/pkg/rack"
)

// placed is a value with its place in the file.
type placed[T any] struct {
	v    T
	at   pos
	path string
}

// network is what one level says of the network; nil and "" mean that nothing is said.
type network struct {
	mode   string // modeDHCP, modeNone or ""
	nic    *placed[string]
	link   *link // of that NIC
	nics   []named[link]
	bonds  []named[bond]
	vlans  []named[vlan]
	dns    []netip.Addr
	search []string
	ntp    []string
	at     pos
	path   string
}

const (
	modeDHCP = "dhcp"
	modeNone = "none"
)

// named is an entry of a mapping whose names are free.
type named[T any] struct {
	name placed[string]
	v    T
}

type link struct {
	dhcp      *string
	addresses []placed[netip.Prefix]
	gateways  []placed[netip.Addr]
	routes    []placed[Route]
	mtu       *placed[int]
}

type bond struct {
	link
	mode     string
	members  []placed[string] // MACs, or primary or secondary
	lacpRate *placed[string]
	primary  *placed[string]
}

type vlan struct {
	link
	id *placed[int]
	on *placed[string] // a bond's name, or a NIC
}

// Limits of what an interface may have.
const (
	minMTU  = 576  // RFC 791: what every host takes
	maxMTU  = 9216 // the largest that switches and NICs commonly carry
	minMTU6 = 1280 // RFC 8200, section 5
	ethMTU  = 1500 // of an interface that nothing is said of
)

// network reads "dhcp", "none" or a mapping.
func (r *reader) network(n *yaml.Node, path string) *network {
	out := &network{at: at(n), path: path}
	if real(n).Kind != yaml.MappingNode {
		out.mode, _ = r.word(n, path, modeDHCP, modeNone)
		return out
	}
	l := &link{}
	keys := append(r.linkKeys(l),
		key{"nic", func(n *yaml.Node, path string) { out.nic = r.nicName(n, path) }},
		key{"nics", func(n *yaml.Node, path string) {
			r.each(n, path, func(name, value *yaml.Node, path string) {
				entry := named[link]{name: placed[string]{name.Value, at(name), path}}
				r.nicForm(name, path)
				r.mapping(value, path, r.linkKeys(&entry.v))
				out.nics = append(out.nics, entry)
			})
		}},
		key{"bonds", func(n *yaml.Node, path string) { out.bonds = r.bonds(n, path) }},
		key{"vlans", func(n *yaml.Node, path string) { out.vlans = r.vlans(n, path) }},
		key{"dns", func(n *yaml.Node, path string) { out.dns = r.servers(n, path) }},
		key{"search", func(n *yaml.Node, path string) { out.search = r.hostNames(n, path) }},
		key{"ntp", func(n *yaml.Node, path string) { out.ntp = r.hostNames(n, path) }},
	)
	r.mapping(n, path, keys)
	if l.said() {
		out.link = l
	}
	return out
}

func (l *link) said() bool {
	return l.dhcp != nil || l.addresses != nil || l.gateways != nil || l.routes != nil || l.mtu != nil
}

// linkKeys are those of every interface.
func (r *reader) linkKeys(l *link) []key {
	return []key{
		{"dhcp", func(n *yaml.Node, path string) { l.dhcp = r.dhcp(n, path) }},
		{"addresses", func(n *yaml.Node, path string) {
			l.addresses = []placed[netip.Prefix]{}
			r.list(n, path, func(n *yaml.Node, path string) {
				if p, ok := r.address(n, path); ok {
					l.addresses = append(l.addresses, placed[netip.Prefix]{p, at(n), path})
				}
			})
		}},
		{"gateway", func(n *yaml.Node, path string) {
			l.gateways = []placed[netip.Addr]{}
			r.list(n, path, func(n *yaml.Node, path string) {
				if a, ok := r.addr(n, path); ok {
					l.gateways = append(l.gateways, placed[netip.Addr]{a, at(n), path})
				}
			})
		}},
		{"routes", func(n *yaml.Node, path string) { l.routes = r.routes(n, path) }},
		{"mtu", func(n *yaml.Node, path string) {
			if v, ok := r.number(n, path, minMTU, maxMTU); ok {
				l.mtu = &placed[int]{v, at(n), path}
			}
		}},
	}
}

func (r *reader) dhcp(n *yaml.Node, path string) *string {
	text, ok := r.text(n, path)
	if !ok {
		return nil
	}
	words := map[string]string{"true": DHCPOn, "yes": DHCPOn, "on": DHCPOn, "false": DHCPOff, "no": DHCPOff, "off": DHCPOff, DHCPv4: DHCPv4, DHCPv6: DHCPv6}
	word, ok := words[strings.ToLower(text)]
	if !ok {
		r.fail(at(n), path, "%q: want true, false, ipv4 or ipv6", text)
		return nil
	}
	return &word
}

func (r *reader) addr(n *yaml.Node, path string) (netip.Addr, bool) {
	text, ok := r.text(n, path)
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		r.fail(at(n), path, "%q is no IP address", text)
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// address reads an address with its prefix length.
func (r *reader) address(n *yaml.Node, path string) (netip.Prefix, bool) {
	text, ok := r.text(n, path)
	if !ok {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		hint := ""
		if _, err := netip.ParseAddr(text); err == nil {
			hint = "; its prefix length is missing, such as " + text + "/24"
		}
		r.fail(at(n), path, "%q is no address with a prefix length%s", text, hint)
		return netip.Prefix{}, false
	}
	return p, true
}

func (r *reader) routes(n *yaml.Node, path string) []placed[Route] {
	out := []placed[Route]{}
	r.list(n, path, func(n *yaml.Node, path string) {
		route := Route{}
		r.mapping(n, path, []key{
			{"to", func(n *yaml.Node, path string) {
				if p, ok := r.address(n, path); ok {
					route.To = p
					if p != p.Masked() {
						r.fail(at(n), path, "%s has bits beyond its length; the network is %s", p, p.Masked())
					}
				}
			}},
			{"via", func(n *yaml.Node, path string) { route.Via, _ = r.addr(n, path) }},
			{"metric", func(n *yaml.Node, path string) { route.Metric, _ = r.number(n, path, 1, 1<<31-1) }},
		})
		if !route.To.IsValid() || !route.Via.IsValid() {
			r.fail(at(real(n)), path, "a route wants to: NETWORK/LENGTH and via: ADDRESS")
			return
		}
		out = append(out, placed[Route]{route, at(real(n)), path})
	})
	return out
}

// ifaceForm is a name that the kernel takes, without those that have a meaning to systemd or a shell.
var ifaceForm = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,14}$`)

// ifaceName refuses names that no interface can have, or that one has already.
func (r *reader) ifaceName(n *yaml.Node, path string) placed[string] {
	if !ifaceForm.MatchString(n.Value) || slices.Contains([]string{"lo", "primary", "secondary", "default", "all"}, n.Value) {
		r.fail(at(n), path, "%q: the name of an interface has at most 15 of a-z 0-9 . _ -, begins with a letter, and is not lo, primary, secondary, default or all", n.Value)
	}
	return placed[string]{n.Value, at(n), path}
}

func (r *reader) bonds(n *yaml.Node, path string) []named[bond] {
	out := []named[bond]{}
	r.each(n, path, func(name, value *yaml.Node, path string) {
		b := bond{}
		keys := append(r.linkKeys(&b.link),
			key{"mode", func(n *yaml.Node, path string) { b.mode, _ = r.word(n, path, Bond802, BondActiveBackup) }},
			key{"members", func(n *yaml.Node, path string) {
				b.members = []placed[string]{}
				r.list(n, path, func(n *yaml.Node, path string) {
					if m := r.nicName(n, path); m != nil {
						b.members = append(b.members, *m)
					}
				})
			}},
			key{"lacp_rate", func(n *yaml.Node, path string) {
				if w, ok := r.word(n, path, "fast", "slow"); ok {
					b.lacpRate = &placed[string]{w, at(n), path}
				}
			}},
			key{"primary", func(n *yaml.Node, path string) { b.primary = r.nicName(n, path) }},
		)
		full := r.ifaceName(name, path)
		r.mapping(value, path, keys)
		out = append(out, named[bond]{full, b})
	})
	return out
}

func (r *reader) vlans(n *yaml.Node, path string) []named[vlan] {
	out := []named[vlan]{}
	r.each(n, path, func(name, value *yaml.Node, path string) {
		v := vlan{}
		keys := append(r.linkKeys(&v.link),
			key{"id", func(n *yaml.Node, path string) {
				if id, ok := r.number(n, path, 1, 4094); ok { // IEEE 802.1Q: 0 and 4095 are reserved
					v.id = &placed[int]{id, at(n), path}
				}
			}},
			key{"on", func(n *yaml.Node, path string) {
				if text, ok := r.text(n, path); ok {
					v.on = &placed[string]{text, at(n), path}
				}
			}},
		)
		full := r.ifaceName(name, path)
		r.mapping(value, path, keys)
		out = append(out, named[vlan]{full, v})
	})
	return out
}

func (r *reader) nicName(n *yaml.Node, path string) *placed[string] {
	text, ok := r.text(n, path)
	if !ok || !r.nicForm(real(n), path) {
		return nil
	}
	return &placed[string]{text, at(n), path}
}

// Words for a NIC of the node's row.
const (
	nicPrimary   = "primary"
	nicSecondary = "secondary"
)

func (r *reader) nicForm(n *yaml.Node, path string) bool {
	if n.Value == nicPrimary || n.Value == nicSecondary {
		return true
	}
	if _, err := rack.ParseMAC(n.Value); err != nil {
		r.fail(at(n), path, "%q: want primary, secondary or a MAC address", n.Value)
		return false
	}
	return true
}

// servers reads addresses; "none" is an empty list that is meant.
func (r *reader) servers(n *yaml.Node, path string) []netip.Addr {
	out := []netip.Addr{}
	if real(n).Value == modeNone {
		return out
	}
	r.list(n, path, func(n *yaml.Node, path string) {
		if a, ok := r.addr(n, path); ok {
			out = append(out, a)
		}
	})
	return out
}

func (r *reader) hostNames(n *yaml.Node, path string) []string {
	out := []string{}
	r.list(n, path, func(n *yaml.Node, path string) {
		text, ok := r.text(n, path)
		if !ok {
			return
		}
		if _, err := netip.ParseAddr(text); err != nil && !hostForm.MatchString(strings.ToLower(text)) {
			r.fail(at(n), path, "%q is neither a host name nor an address", text)
			return
		}
		out = append(out, strings.ToLower(text))
	})
	return out
}
