package cluster

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/rack"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range texts {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range texts {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// TestNetworks looks at what becomes of node-1's network.
func TestNetworks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want Network
	}{
		"nothing said": {"", dhcpOn(mac(1, 1))},
		"dhcp":         {"network: dhcp", dhcpOn(mac(1, 1))},
		"none":         {"network: none", Network{None: true}},
		"resolvers only": {"network: {dns: 10.0.0.1}", Network{
			NICs: []NIC{{mac(1, 1), Link{DHCP: DHCPOn}}}, DNS: addrs("10.0.0.1"),
		}},
		"a type's gateway, a node's address": {`
network: {dns: [10.0.0.53], search: example.com}
types: {compute: {network: {gateway: 10.0.0.1, mtu: 9000}}}
nodes: {node-1: {network: {addresses: 10.0.0.5/24}}}
`, Network{
			NICs: []NIC{{mac(1, 1), Link{Addresses: prefixes("10.0.0.5/24"), Gateways: addrs("10.0.0.1"), MTU: 9000}}}, DNS: addrs("10.0.0.53"),
			Search: []string{"example.com"},
		}},
		"a node goes back to DHCP": {`
types: {compute: {network: {bonds: {b: {mode: 802.3ad, members: [primary]}}, dns: 10.0.0.53}}}
nodes: {node-1: {network: dhcp}}
`, Network{NICs: []NIC{{mac(1, 1), Link{DHCP: DHCPOn}}}, DNS: addrs("10.0.0.53")}},
		"a type's bond, a node's VLAN address": {`
types:
  compute:
    network:
      dns: none
      bonds: {bond0: {mode: 802.3ad, lacp_rate: fast, members: [primary, secondary], mtu: 9000}}
      vlans: {public: {id: 100, on: bond0, gateway: 10.0.0.1, mtu: 9000}}
nodes: {node-1: {network: {vlans: {public: {addresses: [10.0.0.5/24, "2001:db8::5/64"]}}}}}
`, Network{
			Bonds: []Bond{{Name: "bond0", Mode: Bond802, LACPRate: "fast", Members: []rack.MAC{mac(0, 1), mac(1, 1)}, Link: Link{MTU: 9000}}},
			VLANs: []VLAN{{Name: "public", ID: 100, Parent: "bond0",
				Link: Link{Addresses: prefixes("10.0.0.5/24", "2001:db8::5/64"), Gateways: addrs("10.0.0.1"), MTU: 9000}}},
			DNS: []netip.Addr{},
		}},
		"several NICs": {`
network:
  dns: none
  nics:
    primary: {addresses: 10.1.0.5/24}
    secondary: {dhcp: ipv6, routes: [{to: "2001:db8:1::/48", via: fe80::1}]}
  vlans: {v: {id: 7, on: primary, dhcp: no}}
`, Network{
			NICs: []NIC{
				{mac(0, 1), Link{Addresses: prefixes("10.1.0.5/24")}},
				{mac(1, 1), Link{DHCP: DHCPv6, Routes: []Route{{To: prefixes("2001:db8:1::/48")[0], Via: addrs("fe80::1")[0]}}}},
			},
			VLANs: []VLAN{{Name: "v", ID: 7, ParentMAC: mac(0, 1)}}, DNS: []netip.Addr{},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := tt.text
			// Only node-1 has what is said of its type.
			site := testSite()
			site.Nodes = site.Nodes[:1]
			f, err := Parse("c", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			specs, _, err := f.Resolve(site)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, specs[0].Network, unexported()...); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// node1 says something of the network of one node, on line 3.
func node1(network string) string {
	return "nodes:\n  node-1:\n    network: {dns: none, " + network + "}\n"
}

func TestBadNetworks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"gateway outside":      {node1("addresses: 10.0.0.5/24, gateway: 10.0.1.1"), "node-1 (U1): the gateway 10.0.1.1 is outside of 10.0.0.0/24"},
		"own gateway":          {node1("addresses: 10.0.0.5/24, gateway: 10.0.0.5"), "is the node's own address"},
		"gateway's family":     {node1("addresses: 10.0.0.5/24, gateway: '2001:db8::1'"), "no address of its family"},
		"gateway alone":        {node1("gateway: 10.0.0.1"), "no address of its family"},
		"two gateways":         {node1("addresses: 10.0.0.5/24, gateway: [10.0.0.1, 10.0.0.2]"), "a gateway per family is the most"},
		"two ways out":         {node1("nics: {primary: {addresses: 10.0.0.5/24, gateway: 10.0.0.1}, secondary: {addresses: 10.1.0.5/24, gateway: 10.1.0.1}}"), "two interfaces have a gateway"},
		"subnet's address":     {node1("addresses: 10.0.0.0/24"), "10.0.0.0/24 is the address of the subnet itself"},
		"broadcast":            {node1("addresses: 10.0.0.255/24"), "is the broadcast address of its subnet"},
		"multicast":            {node1("addresses: 224.0.0.5/24"), "no host has the address"},
		"loopback":             {node1("addresses: '::1/128'"), "no host has the address"},
		"mapped":               {node1("addresses: '::ffff:10.0.0.5/120'"), "write 10.0.0.5"},
		"whole Internet":       {node1("addresses: 10.0.0.5/0"), "the whole Internet"},
		"internal network":     {node1("addresses: 172.24.213.99/16"), "overlaps the rack-internal network 172.24.213.0/24"},
		"route's next hop":     {node1("addresses: 10.0.0.5/24, routes: [{to: 10.9.0.0/16, via: 10.1.0.1}]"), "the next hop 10.1.0.1 is outside"},
		"route's families":     {node1("addresses: 10.0.0.5/24, routes: [{to: 10.9.0.0/16, via: 'fe80::1'}]"), "is of another family"},
		"MTU for IPv6":         {node1("addresses: '2001:db8::5/64', mtu: 1000"), "IPv6 wants 1280 at least"},
		"no DNS":               {"nodes:\n  node-1:\n    network: {addresses: 10.0.0.5/24}\n", "cluster.yaml:3:14: nodes.node-1.network: node-1 (U1): its addresses are static, and dns is missing"},
		"no secondary":         {"nodes: {node-3: {network: {addresses: 10.0.0.5/24, dns: none}}}", "node-3 (U3) has no secondary NIC"},
		"MAC of another":       {node1("nic: 52:54:00:00:01:02"), "52:54:00:00:01:02 is a MAC of node-2 (U2)"},
		"MAC of its BMC":       {node1("nic: 52:54:00:00:02:01"), "is its BMC's"},
		"MAC of management":    {node1("nic: 52:54:00:00:00:ff"), "is a MAC of management"},
		"unseen MAC":           {"nodes: {node-3: {network: {nic: 52:54:00:00:00:77}}}", "it has no NIC 52:54:00:00:00:77; it has 52:54:00:00:00:03, 52:54:00:00:03:03"},
		"bond without members": {node1("bonds: {b: {mode: 802.3ad}}"), "a bond wants members"},
		"bond without mode":    {node1("bonds: {b: {members: primary}}"), "a bond wants a mode"},
		"member twice":         {node1("bonds: {a: {mode: 802.3ad, members: [primary]}, b: {mode: 802.3ad, members: [52:54:00:00:00:01]}}"), "52:54:00:00:00:01 is used twice, first on line 3"},
		"member in one bond":   {node1("bonds: {a: {mode: 802.3ad, members: [primary, primary]}}"), "is used twice"},
		"member with address":  {node1("bonds: {a: {mode: 802.3ad, members: [secondary]}}, addresses: 10.0.0.5/24"), "is used twice"},
		"LACP rate":            {node1("bonds: {b: {mode: active-backup, lacp_rate: fast, members: primary}}"), "goes with mode 802.3ad only"},
		"primary of LACP":      {node1("bonds: {b: {mode: 802.3ad, primary: primary, members: primary}}"), "goes with mode active-backup only"},
		"primary no member":    {node1("bonds: {b: {mode: active-backup, primary: secondary, members: primary}}"), "is no member of b"},
		"VLAN without id":      {node1("vlans: {v: {on: primary}}"), "a VLAN wants an id"},
		"VLAN on nothing":      {node1("vlans: {v: {id: 7}}"), "a VLAN wants on:"},
		"VLAN on unknown":      {node1("bonds: {bond0: {mode: 802.3ad, members: primary}}, vlans: {v: {id: 7, on: bond1}}"), "did you mean bond0?"},
		"VLAN on a member":     {node1("bonds: {b: {mode: 802.3ad, members: primary}}, vlans: {v: {id: 7, on: primary}}"), "is a member of b; its VLANs are on that"},
		"VLAN twice":           {node1("vlans: {v: {id: 7, on: primary}, w: {id: 7, on: 52:54:00:00:00:01}}"), "v has id 7 on the same interface"},
		"VLAN named as a bond": {node1("bonds: {b: {mode: 802.3ad, members: primary}}, vlans: {b: {id: 7, on: b}}"), "a bond has this name"},
		"MTU of a VLAN":        {node1("bonds: {b: {mode: 802.3ad, members: primary, mtu: 8000}}, vlans: {v: {id: 7, on: b, mtu: 9000}}"), "the MTU of VLAN v, 9000, is more than that of b, 8000"},
		"MTU of a NIC":         {node1("vlans: {v: {id: 7, on: secondary, mtu: 1501}}"), "is more than that of 52:54:00:00:01:01, 1500"},
		"one address":          {"nodes:\n  node-1: {network: {addresses: 10.0.0.5/24, dns: none}}\n  node-2: {network: {addresses: 10.0.0.5/25, dns: none}}\n", "cluster.yaml:3:33: nodes.node-2.network.addresses: 10.0.0.5 is the address of node-2 (U2), and on line 2 of node-1 (U1)"},
		"one address for all":  {"types: {compute: {network: {addresses: 10.0.0.5/24, dns: none}}}\n", "10.0.0.5 is the address of node-2 (U2), and on line 1 of node-1 (U1)"},
		"another's gateway":    {"nodes:\n  node-1: {network: {addresses: 10.0.0.5/24, dns: none}}\n  node-2: {network: {addresses: 10.0.0.6/24, gateway: 10.0.0.5, dns: none}}\n", "its gateway 10.0.0.5 is the address of node-1 (U1) (line 2)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := wrong(t, tt.text); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestUnseenNIC: where a machine was never looked at, a MAC that nobody knows is taken, with a word about it.
func TestUnseenNIC(t *testing.T) {
	t.Parallel()
	specs, warnings := resolve(t, node1("nic: 52:54:00:00:00:77"))
	if specs[0].Network.NICs[0].MAC != mac(0, 0x77) || !strings.Contains(warnings[len(warnings)-1].String(), "nobody has seen a NIC 52:54:00:00:00:77") {
		t.Errorf("%+v, %v", specs[0].Network, warnings)
	}
}
