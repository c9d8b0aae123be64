package dhcpd

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
)

// The machines of these tests: a server with a reservation, its BMC, one that is known without an address, and a stranger.
var (
	macServer   = rack.MAC{0x52, 0x54, 0, 0, 0, 0x10}
	macBMC      = rack.MAC{0x52, 0x54, 0, 0, 0, 0x20}
	macStatic   = rack.MAC{0x52, 0x54, 0, 0, 0, 0x30}
	macStranger = rack.MAC{0x52, 0x54, 0, 0, 0, 0x99}

	ours    = netip.MustParseAddr("172.24.213.1")
	ipNode  = netip.MustParseAddr("172.24.213.2")
	ipBMC   = netip.MustParseAddr("172.24.213.5")
	first   = netip.MustParseAddr("172.24.213.128")
	second  = first.Next()
	foreign = netip.MustParseAddr("192.168.7.7")
	start   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

type directory map[rack.MAC]Reservation

func (d directory) Lookup(m rack.MAC) (Reservation, bool) { r, ok := d[m]; return r, ok }

func machines() directory {
	return directory{
		macServer: {IP: ipNode, Boot: true, HostName: "node-1"},
		macBMC:    {IP: ipBMC, HostName: "node-1-bmc"},
		macStatic: {},
	}
}

// memStore is a store that a second server can be started on.
type memStore struct {
	mu     sync.Mutex
	leases map[netip.Addr]Lease
	broken error
}

func (m *memStore) Load(context.Context) ([]Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Lease
	for _, l := range m.leases {
		out = append(out, l)
	}
	return out, m.broken
}

func (m *memStore) Save(_ context.Context, leases ...Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	for _, l := range leases {
		m.leases[l.IP] = l
	}
	return nil
}

func newStore() *memStore { return &memStore{leases: map[netip.Addr]Lease{}} }

type observed struct{ ch chan Seen }

func (o observed) Packet(_ context.Context, s Seen) {
	select {
	case o.ch <- s:
	default:
	}
}

type programs []string

func (p programs) Has(name string) bool { return slices.Contains(p, name) }

func testConfig() Config {
	return Config{
		Interface: "int0", Server: ours, Prefix: netip.MustParsePrefix("172.24.213.0/24"),
		PoolFirst: first, PoolLast: netip.MustParseAddr("172.24.213.254"),
	}
}

func newServer(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, machines(), newStore(), observed{make(chan Seen, 64)},
		programs{"undionly.kpxe", "ipxe.efi", "snponly.efi"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// message makes a client's packet.
func message(t testing.TB, mac rack.MAC, typ dhcpv4.MessageType, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	p, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(mac.Hardware()), dhcpv4.WithMessageType(typ),
	}, mods...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wants(ip netip.Addr) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip.AsSlice()))
}
func has(ip netip.Addr) dhcpv4.Modifier { return dhcpv4.WithClientIP(ip.AsSlice()) }
func chose(ip netip.Addr) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(ip.AsSlice()))
}
func relayed(ip string) dhcpv4.Modifier { return dhcpv4.WithGatewayIP(net.ParseIP(ip)) }
func firmware(class string, arch pxe.Arch) dhcpv4.Modifier {
	return func(d *dhcpv4.DHCPv4) {
		d.UpdateOption(dhcpv4.OptClassIdentifier(arch.Option60(class)))
		d.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientSystemArchitectureType, []byte{byte(arch >> 8), byte(arch)}))
		d.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, machineID()))
	}
}

// machineID is an option 97.
func machineID() []byte { return append([]byte{0}, "0123456789abcdef"...) }

// brief is what a table compares of a reply.
type brief struct {
	Type    dhcpv4.MessageType
	IP      netip.Addr
	Ignored string
}

func briefly(x *exchange) brief {
	b := brief{Ignored: x.seen.Ignored}
	if x.out != nil {
		b.Type, b.IP = x.out.MessageType(), addr(x.out.YourIPAddr)
	}
	return b
}

const (
	offer  = dhcpv4.MessageTypeOffer
	ack    = dhcpv4.MessageTypeAck
	nak    = dhcpv4.MessageTypeNak
	reqst  = dhcpv4.MessageTypeRequest
	discov = dhcpv4.MessageTypeDiscover
)

func TestReply(t *testing.T) {
	none := netip.Addr{}
	type mods = []dhcpv4.Modifier
	for _, c := range []struct {
		name string
		mac  rack.MAC
		typ  dhcpv4.MessageType
		mods mods
		want brief
	}{
		{"reservation is offered", macServer, discov, nil, brief{offer, ipNode, ""}},
		{"whatever it asks for", macServer, discov, mods{wants(second)}, brief{offer, ipNode, ""}},
		{"BMC is offered its own", macBMC, discov, nil, brief{offer, ipBMC, ""}},
		{"known without an address", macStatic, discov, nil, brief{0, none, "known, but it has no address here"}},
		{"stranger gets the pool", macStranger, discov, nil, brief{offer, first, ""}},
		{"stranger gets what it asks for", macStranger, discov, mods{wants(second)}, brief{offer, second, ""}},
		{"stranger cannot ask for a reservation", macStranger, discov, mods{wants(ipNode)}, brief{offer, first, ""}},
		{"stranger that boots is met with silence", macStranger, discov, mods{firmware("PXEClient", 7)},
			brief{0, none, "unknown machine asks for a boot program"}},
		{"the same for iPXE", macStranger, discov, mods{dhcpv4.WithUserClass("iPXE", false)},
			brief{0, none, "unknown machine asks for a boot program"}},

		{"SELECTING", macServer, reqst, mods{wants(ipNode), chose(ours)}, brief{ack, ipNode, ""}},
		{"SELECTING another server", macServer, reqst, mods{wants(foreign), chose(foreign)}, brief{0, none, "chose another server"}},
		{"SELECTING a wrong address", macServer, reqst, mods{wants(second), chose(ours)}, brief{nak, none, ""}},
		{"INIT-REBOOT", macServer, reqst, mods{wants(ipNode)}, brief{ack, ipNode, ""}},
		{"INIT-REBOOT with an old address", macServer, reqst, mods{wants(second)}, brief{nak, none, ""}},
		{"INIT-REBOOT from another network", macBMC, reqst, mods{wants(foreign)}, brief{nak, none, ""}},
		{"RENEWING", macServer, reqst, mods{has(ipNode)}, brief{ack, ipNode, ""}},
		{"RENEWING an old address", macBMC, reqst, mods{has(second)}, brief{nak, none, ""}},
		{"REQUEST for nothing", macServer, reqst, nil, brief{0, none, "REQUEST without an address"}},
		{"stranger's INIT-REBOOT", macStranger, reqst, mods{wants(foreign)},
			brief{0, none, "asks for an address that this server did not lease"}},
		{"stranger's SELECTING of a free address", macStranger, reqst, mods{wants(second), chose(ours)}, brief{ack, second, ""}},
		{"stranger's SELECTING of a reservation", macStranger, reqst, mods{wants(ipNode), chose(ours)}, brief{nak, none, ""}},

		{"INFORM", macServer, dhcpv4.MessageTypeInform, mods{has(ipNode)}, brief{ack, none, ""}},
		{"INFORM without an address", macServer, dhcpv4.MessageTypeInform, nil, brief{0, none, "INFORM without an address"}},
		{"INFORM from elsewhere", macServer, dhcpv4.MessageTypeInform, mods{has(foreign)}, brief{0, none, "INFORM from another network"}},
		{"RELEASE has no reply", macServer, dhcpv4.MessageTypeRelease, mods{has(ipNode), chose(ours)}, brief{}},
		{"RELEASE to another server", macServer, dhcpv4.MessageTypeRelease, mods{has(ipNode), chose(foreign)}, brief{0, none, "for another server"}},
		{"DECLINE of what was not given", macStranger, dhcpv4.MessageTypeDecline, mods{wants(first), chose(ours)},
			brief{0, none, "declines an address that it was not given"}},
		{"BOOTP", macServer, dhcpv4.MessageTypeNone, nil, brief{0, none, "no message of a client"}},
		{"a server's OFFER", macServer, offer, nil, brief{0, none, "no message of a client"}},

		{"reservation behind any relay", macServer, discov, mods{relayed("10.1.1.1")}, brief{offer, ipNode, ""}},
		{"pool behind our relay", macStranger, discov, mods{relayed("172.24.213.9")}, brief{offer, first, ""}},
		{"no pool behind another", macStranger, discov, mods{relayed("10.1.1.1")},
			brief{0, none, "unknown machine behind a relay agent of another network"}},
		{"a relay that cannot be", macServer, discov, mods{relayed("255.255.255.255")},
			brief{0, none, "a relay agent's address that cannot be one"}},
		{"a relay with our address", macServer, discov, mods{dhcpv4.WithGatewayIP(ours.AsSlice())},
			brief{0, none, "a relay agent's address that cannot be one"}},
		{"multicast MAC", rack.MAC{1, 0, 0x5e, 0, 0, 1}, discov, nil, brief{0, none, "no Ethernet address of a NIC"}},
		{"16-byte hardware address", macServer, discov, mods{dhcpv4.WithHwAddr(make([]byte, 16))}, brief{0, none, "no Ethernet address of a NIC"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			x := s.reply(message(t, c.mac, c.typ, c.mods...), meta{at: start})
			if d := cmp.Diff(c.want, briefly(x), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("reply differs (-want +got):\n%s", d)
			}
		})
	}
}

func TestReplyOptions(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	option82 := []byte{1, 4, 'p', 'o', 'r', 't'}
	in := message(t, macServer, reqst, wants(ipNode), chose(ours), relayed("10.1.1.1"),
		dhcpv4.WithOption(dhcpv4.OptClientIdentifier([]byte{0xff, 1, 2})),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionRelayAgentInformation, option82)))
	out := s.reply(in, meta{at: start}).out

	got := map[string]any{
		"server": addr(out.ServerIdentifier()).String(), "mask": out.SubnetMask().String(), "host": out.HostName(),
		"lease": out.IPAddressLeaseTime(0), "t1": out.IPAddressRenewalTime(0), "t2": out.IPAddressRebindingTime(0),
		"client id": out.Options.Get(dhcpv4.OptionClientIdentifier), "option 82": out.Options.Get(dhcpv4.OptionRelayAgentInformation),
		"giaddr": out.GatewayIPAddr.String(), "router": out.Router(), "dns": out.DNS(), "file": out.BootFileName,
		"xid": out.TransactionID == in.TransactionID, "chaddr": out.ClientHWAddr.String(),
	}
	want := map[string]any{
		"server": "172.24.213.1", "mask": "ffffff00", "host": "node-1",
		"lease": 24 * time.Hour, "t1": 12 * time.Hour, "t2": 21 * time.Hour,
		"client id": []byte{0xff, 1, 2}, "option 82": option82,
		"giaddr": "10.1.1.1", "router": []net.IP(nil), "dns": []net.IP(nil), "file": "",
		"xid": true, "chaddr": macServer.String(),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("reply differs (-want +got):\n%s", d)
	}
}

// TestNAKBehindRelay: the relay agent must broadcast it (RFC 2131 4.3.2).
func TestNAKBehindRelay(t *testing.T) {
	t.Parallel()
	x := newServer(t, nil).reply(message(t, macBMC, reqst, wants(second), relayed("10.1.1.1")), meta{at: start})
	if x.out.MessageType() != nak || !x.out.IsBroadcast() {
		t.Errorf("reply = %s, want a NAK with the broadcast flag", x.out.Summary())
	}
	if x.out.Options.Has(dhcpv4.OptionIPAddressLeaseTime) || x.out.Options.Has(dhcpv4.OptionSubnetMask) {
		t.Errorf("NAK has options that it must not have (RFC 2131 table 3):\n%s", x.out.Summary())
	}
	if x.out.Message() == "" {
		t.Error("NAK does not say why")
	}
}

// TestUnknownBecomesKnown: a BMC that was listed later has to give up its pool address (it asks to renew it).
func TestUnknownBecomesKnown(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.reply(message(t, macStranger, discov), meta{at: start})
	if got := briefly(s.reply(message(t, macStranger, reqst, wants(first), chose(ours)), meta{at: start})); got.Type != ack {
		t.Fatalf("first lease = %+v", got)
	}
	s.dir = directory{macStranger: {IP: ipBMC}}
	if got := briefly(s.reply(message(t, macStranger, reqst, has(first)), meta{at: start})); got.Type != nak {
		t.Errorf("renewal of the pool address = %+v, want a NAK", got)
	}
	x := s.reply(message(t, macStranger, reqst, wants(ipBMC), chose(ours)), meta{at: start})
	if got := briefly(x); got.Type != ack || got.IP != ipBMC {
		t.Errorf("request for the reservation = %+v", got)
	}
	if len(x.save) != 1 || x.save[0].IP != first || x.save[0].Expires.After(start) {
		t.Errorf("saved %+v, want the end of the pool lease", x.save)
	}
	got := s.leasesAt(start)
	if len(got) != 1 || got[0].IP != ipBMC || !got[0].Reserved {
		t.Errorf("leases = %+v, want the reservation alone", got)
	}
}

func TestDeclineOfReservationIsReported(t *testing.T) {
	t.Parallel()
	x := newServer(t, nil).reply(message(t, macServer, dhcpv4.MessageTypeDecline, wants(ipNode), chose(ours)), meta{at: start})
	if x.seen.Problem == "" || x.out != nil || x.seen.IP != ipNode {
		t.Errorf("seen = %+v, want a problem with %s", x.seen, ipNode)
	}
}
