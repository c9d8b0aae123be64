package fleet

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
)

var (
	macA = rack.MAC{0x52, 0x54, 0, 0, 0, 1}
	macB = rack.MAC{0x52, 0x54, 0, 0, 0, 2}
	ipA  = netip.MustParseAddr("172.24.213.1")
	ipB  = netip.MustParseAddr("172.24.213.2")
)

func exact() cmp.Option {
	return cmp.Options{cmp.AllowUnexported(arp{}, datagram{}), cmpopts.EquateComparable(netip.Addr{})}
}

func TestARPFrames(t *testing.T) {
	t.Parallel()
	ask := arp{op: arpRequest, from: macA, fromIP: ipA, ip: ipB}
	want := "\xff\xff\xff\xff\xff\xff\x52\x54\x00\x00\x00\x01\x08\x06" +
		"\x00\x01\x08\x00\x06\x04\x00\x01\x52\x54\x00\x00\x00\x01\xac\x18\xd5\x01\x00\x00\x00\x00\x00\x00\xac\x18\xd5\x02"
	if diff := cmp.Diff([]byte(want), ask.frame()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	tell := arp{op: arpReply, from: macB, to: macA, fromIP: ipB, ip: ipA}
	got, ok := parseARP(tell.frame())
	if diff := cmp.Diff(tell, got, exact()); diff != "" || !ok {
		t.Errorf("reply read back, %t (-want +got):\n%s", ok, diff)
	}
	if b := tell.frame(); !bytes.Equal(b[:6], macA[:]) {
		t.Errorf("a reply goes to % x", b[:6])
	}
}

func TestDatagramFrames(t *testing.T) {
	t.Parallel()
	d := datagram{from: macA, to: macB, fromIP: ipA, toIP: ipB, fromPort: 67, port: 68, payload: []byte("odd")}
	b := d.frame()
	got, ok := parseDatagram(b)
	if diff := cmp.Diff(d, got, exact()); diff != "" || !ok {
		t.Errorf("read back, %t (-want +got):\n%s", ok, diff)
	}
	// A sum over what carries its own checksum is zero (RFC 1071).
	if got := fold(sum(0, b[etherSize:etherSize+ipSize])); got != 0 {
		t.Errorf("the header's checksum leaves %x", got)
	}
	udp := b[etherSize+ipSize:]
	if got := fold(sum(sum(17+uint32(len(udp)), b[etherSize+12:etherSize+ipSize]), udp)); got != 0 {
		t.Errorf("the datagram's checksum leaves %x", got)
	}
	for name, spoil := range map[string]func(b []byte){
		"another protocol":     func(b []byte) { b[etherSize+9] = 6 },
		"a fragment":           func(b []byte) { b[etherSize+6] = 0x20 },
		"a length beyond":      func(b []byte) { b[etherSize+2] = 0xff },
		"a header that is all": func(b []byte) { b[etherSize] = 0x4f },
		"another version":      func(b []byte) { b[etherSize] = 0x65 },
		"a datagram too long":  func(b []byte) { b[etherSize+ipSize+4] = 1 },
		"a datagram too short": func(b []byte) { b[etherSize+ipSize+5] = 7 },
	} {
		bad := bytes.Clone(b)
		spoil(bad)
		if _, ok := parseDatagram(bad); ok {
			t.Errorf("%s is taken", name)
		}
	}
}

// The checksum of a solicitation is right, and it names the MAC that it comes from.
func TestSolicitation(t *testing.T) {
	t.Parallel()
	b := solicitation(macA)
	if len(b) != etherSize+ip6Size+solicSize || !bytes.HasSuffix(b, macA[:]) {
		t.Fatalf("% x", b)
	}
	icmp := b[etherSize+ip6Size:]
	if got := fold(sum(sum(58+solicSize, b[etherSize+8:etherSize+ip6Size]), icmp)); got != 0 {
		t.Errorf("the checksum leaves %x", got)
	}
}

// What each stage of a boot says in DHCP is what package pxe, and so racker, takes it for.
func TestWhatDHCPSays(t *testing.T) {
	t.Parallel()
	n := &node{row: &rack.Node{Primary: macA}}
	p := &port{mac: macA}
	say := func(options []dhcpv4.Modifier) pxe.Client {
		m, err := p.message(dhcpv4.TransactionID{1, 2, 3, 4}, dhcpv4.MessageTypeDiscover, options...)
		if err != nil {
			t.Fatal(err)
		}
		back, err := dhcpv4.FromBytes(m.ToBytes())
		if err != nil {
			t.Fatal(err)
		}
		return pxe.Parse(back)
	}
	uuid := uuidText(n.uuid())
	features := pxe.Features{Sent: true, Version: "1.0.0", HTTP: true, TFTP: true, BzImage: true}
	bios, efi := features, features
	bios.PXE, efi.EFI = true, true
	tests := []struct {
		name string
		say  []dhcpv4.Modifier
		want pxe.Client
	}{
		{"BIOS", asFirmware(pxe.ClassPXE, pxe.BIOS, n.uuid()),
			pxe.Client{Class: "PXEClient:Arch:00000:UNDI:003016", PXE: true, HasArch: true, UNDI: "3.16", UUID: uuid}},
		{"UEFI HTTP", asFirmware(pxe.ClassHTTP, pxe.EFIX64HTTP, n.uuid()),
			pxe.Client{Class: "HTTPClient:Arch:00016:UNDI:003016", HTTP: true, Arch: pxe.EFIX64HTTP, HasArch: true, UNDI: "3.16", UUID: uuid}},
		{"iPXE of BIOS", asIPXE(pxe.BIOS, n.uuid()),
			pxe.Client{Class: "PXEClient:Arch:00000:UNDI:003016", PXE: true, IPXE: true, HasArch: true, UNDI: "3.16", UUID: uuid, Features: bios}},
		{"iPXE of UEFI", asIPXE(pxe.EFIX64, n.uuid()),
			pxe.Client{Class: "PXEClient:Arch:00007:UNDI:003016", PXE: true, IPXE: true, Arch: pxe.EFIX64, HasArch: true, UNDI: "3.16", UUID: uuid, Features: efi}},
		{"agent", asAgent(), pxe.Client{Class: "racker-agent"}},
		{"system", asSystem("node-1", macA.Hardware()), pxe.Client{}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, say(test.say)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(arp{op: arpRequest, from: macA, fromIP: ipA, ip: ipB}.frame())
	f.Add(datagram{from: macA, to: macB, fromIP: ipA, toIP: ipB, fromPort: 67, port: 68, payload: []byte("payload")}.frame())
	f.Add(solicitation(macA))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parseARP(b); ok && a.op == arpReply {
			if again, ok := parseARP(a.frame()); !ok || again != a {
				t.Errorf("%+v reads back as %+v", a, again)
			}
		}
		d, ok := parseDatagram(b)
		if !ok {
			return
		}
		again, ok := parseDatagram(d.frame())
		if diff := cmp.Diff(d, again, exact(), cmpopts.EquateEmpty()); diff != "" || !ok {
			t.Errorf("a datagram reads back differently: %s", diff)
		}
	})
}
