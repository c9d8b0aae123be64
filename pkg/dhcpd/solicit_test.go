package dhcpd

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/rack"
)

// solicitation is what a machine sends that looks for IPv6 routers.
func solicitation(mac rack.MAC) []byte {
	return append([]byte{typeSolicitation, 0, 0, 0, 0, 0, 0, 0, optionSourceLL, 1}, mac[:]...)
}

func TestSolicitor(t *testing.T) {
	t.Parallel()
	other := []byte{14, 1, 1, 2, 3, 4, 5, 6} // a nonce
	for _, c := range []struct {
		name string
		b    []byte
		want rack.MAC
	}{
		{"a machine", solicitation(macServer), macServer},
		{"another option first", append(append(solicitation(macServer)[:8:8], other...), solicitation(macServer)[8:]...), macServer},
		{"no option", solicitation(macServer)[:8], rack.MAC{}},
		{"an option of length zero", append(solicitation(macServer)[:8:8], 1, 0, 1, 2, 3, 4, 5, 6), rack.MAC{}},
		{"an option too long", append(solicitation(macServer)[:8:8], 1, 2, 1, 2, 3, 4, 5, 6), rack.MAC{}},
		{"cut short", solicitation(macServer)[:5], rack.MAC{}},
		{"no solicitation", noRouter(), rack.MAC{}},
		{"nothing", nil, rack.MAC{}},
	} {
		if got := solicitor(c.b); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestWireSolicitation: a machine with a reservation is told at once that there is no router; a BMC and a stranger hear
// nothing.
func TestWireSolicitation(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := newLab(n)
		ns := l.machine(macServer)
		defer l.serve(t)()
		var m *host
		if err := n.In(ns, func() (err error) { m, err = newHost("eth0"); return err }); err != nil {
			t.Fatal(err)
		}
		defer m.raw.Close()

		// Both link-local addresses come after a second of duplicate detection, so ask until there is an answer.
		var got []byte
		for began := time.Now(); got == nil; {
			m.ask(macServer)
			if got = m.hear(100 * time.Millisecond); time.Since(began) > 10*time.Second {
				t.Fatal("no answer")
			}
		}
		if want := noRouter(); got[0] != want[0] || !bytes.Equal(got[4:], want[4:]) { // but for the checksum
			t.Errorf("answer = % x, want % x", got, want)
		}
		for m.hear(300*time.Millisecond) != nil { // late answers to what was asked before
		}
		m.ask(macStranger)
		m.ask(macBMC)
		m.ask(macServer)
		if m.hear(5*time.Second) == nil {
			t.Error("no answer to the server")
		}
		if m.hear(300*time.Millisecond) != nil {
			t.Error("the BMC or the stranger got an answer")
		}
	})
}

// host is a machine that looks for IPv6 routers.
type host struct {
	raw   net.PacketConn
	conn  *ipv6.PacketConn
	iface *net.Interface
}

func newHost(iface string) (*host, error) {
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, err
	}
	raw, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	h := &host{raw: raw, conn: ipv6.NewPacketConn(raw), iface: ifc}
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeRouterAdvertisement)
	return h, errors.Join(h.conn.SetICMPFilter(&only), h.conn.SetControlMessage(ipv6.FlagHopLimit, true))
}

// ask solicits in the name of a MAC; without an address of its own it cannot yet, which is no error here.
func (h *host) ask(mac rack.MAC) {
	cm := &ipv6.ControlMessage{HopLimit: linkHops, IfIndex: h.iface.Index}
	_, _ = h.conn.WriteTo(solicitation(mac), cm, &net.IPAddr{IP: net.IPv6linklocalallrouters, Zone: h.iface.Name})
}

// hear gives the next advertisement that comes with the right hop limit, or nil.
func (h *host) hear(within time.Duration) []byte {
	b := make([]byte, 100)
	if err := h.raw.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil
	}
	n, cm, _, err := h.conn.ReadFrom(b)
	if err != nil || cm.HopLimit != linkHops {
		return nil
	}
	return b[:n]
}
