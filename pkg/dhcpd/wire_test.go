package dhcpd

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"

	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
)

// lab is a server on a switch with some machines on it, in namespaces.
type lab struct {
	n     *nettest.Net
	store *memStore
	seen  chan Seen
}

func newLab(n *nettest.Net) *lab { return &lab{n: n, store: newStore(), seen: make(chan Seen, 256)} }

// machine cables a machine to the server's interface.
func (l *lab) machine(mac rack.MAC, addrs ...string) nettest.NS {
	ns := l.n.NS("machine")
	l.n.Veth(nettest.Nic{Name: "int0", Addrs: []string{"172.24.213.1/24"}},
		nettest.Nic{NS: ns, Name: "eth0", MAC: mac.String(), Addrs: addrs})
	return ns
}

// serve runs a server until the function that it gives is called, which tells how long the stop took.
func (l *lab) serve(t *testing.T) (stop func() time.Duration) {
	t.Helper()
	s, err := New(testConfig(), machines(), l.store, observed{l.seen}, programs{"undionly.kpxe", "ipxe.efi"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() time.Duration {
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		return time.Since(began)
	}
}

// client is a DHCP client that nobody here wrote, in a namespace.
func (l *lab) client(t *testing.T, ns nettest.NS) *nclient4.Client {
	t.Helper()
	var c *nclient4.Client
	err := l.n.In(ns, func() (err error) {
		c, err = nclient4.New("eth0", nclient4.WithTimeout(2*time.Second))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestWireReservation(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := newLab(n)
		ns := l.machine(macServer)
		stop := l.serve(t)
		c := l.client(t, ns)

		got, err := c.Request(t.Context(), firmware("PXEClient", pxe.EFIX64))
		if err != nil {
			t.Fatal(err)
		}
		if ip := addr(got.ACK.YourIPAddr); ip != ipNode || got.ACK.BootFileName != "ipxe.efi" {
			t.Errorf("ACK:\n%s", got.ACK.Summary())
		}
		// Two workers, so in either order.
		replies := map[dhcpv4.MessageType]int{}
		for range 2 {
			s := <-l.seen
			replies[s.Reply]++
			if s.MAC != macServer || !s.Known || !s.Client.PXE {
				t.Errorf("observed %+v", s)
			}
		}
		if replies[offer] != 1 || replies[ack] != 1 {
			t.Errorf("observed %v, want an OFFER and an ACK", replies)
		}
		if d := stop(); d > time.Second {
			t.Errorf("the stop took %s", d)
		}
	})
}

// TestWirePoolSurvivesRestart: a machine without a reservation keeps its address when the daemon is started again.
func TestWirePoolSurvivesRestart(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := newLab(n)
		ns := l.machine(macStranger)
		stop := l.serve(t)
		c := l.client(t, ns)
		got, err := c.Request(t.Context(), dhcpv4.WithOption(dhcpv4.OptHostName("stranger")))
		if err != nil {
			t.Fatal(err)
		}
		stop()

		stop = l.serve(t)
		again, err := c.RequestFromOffer(t.Context(), got.Offer)
		if err != nil {
			t.Fatal(err)
		}
		if !again.ACK.YourIPAddr.Equal(got.ACK.YourIPAddr) {
			t.Errorf("address was %s and is %s", got.ACK.YourIPAddr, again.ACK.YourIPAddr)
		}
		stop() // nobody writes to the store any more
		if saved := l.store.leases[first]; saved.HostName != "stranger" || saved.MAC != macStranger {
			t.Errorf("saved: %+v", saved)
		}
	})
}

// exchangeUDP sends a packet from an ordinary socket and waits for the reply to another: the kernel checks addresses and
// checksums.
func exchangeUDP(t *testing.T, l *lab, ns nettest.NS, port int, in *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	t.Helper()
	var out *dhcpv4.DHCPv4
	err := l.n.In(ns, func() error {
		conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		server := netip.AddrPortFrom(ours, DefaultPort)
		if _, err := conn.WriteTo(in.ToBytes(), net.UDPAddrFromAddrPort(server)); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		b := make([]byte, 1500)
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		if from.String() != server.String() {
			t.Errorf("reply from %s", from)
		}
		out, err = dhcpv4.FromBytes(b[:n])
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", in.MessageType(), err)
	}
	return out
}

// TestWireDelivery: each way of RFC 2131 4.1, as a machine's kernel sees it.
func TestWireDelivery(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := newLab(n)
		// The machine has its address already, so that the kernel takes what is unicast to it.
		ns := l.machine(macServer, "172.24.213.2/24")
		defer l.serve(t)()
		for _, c := range []struct {
			name string
			in   *dhcpv4.DHCPv4
			want dhcpv4.MessageType
		}{
			{"to the hardware address", message(t, macServer, discov), offer},
			{"to all", message(t, macServer, discov, dhcpv4.WithBroadcast(true)), offer},
			{"NAK to all", message(t, macServer, reqst, wants(second)), nak},
			{"renewal to ciaddr", message(t, macServer, reqst, has(ipNode)), ack},
			{"INFORM to ciaddr", message(t, macServer, dhcpv4.MessageTypeInform, has(ipNode)), ack},
		} {
			if got := exchangeUDP(t, l, ns, 68, c.in); got.MessageType() != c.want {
				t.Errorf("%s: %s, want %s", c.name, got.MessageType(), c.want)
			}
		}
	})
}

// TestWireRelay: a relay agent two networks away, reached at giaddr on port 67, with its option 82.
func TestWireRelay(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := newLab(n)
		relay := l.machine(rack.MAC{0x52, 0x54, 9, 9, 9, 9}, "172.24.213.9/24", "10.1.1.1/32")
		n.Route(nettest.NS{}, "10.1.1.0/24", "172.24.213.9")
		defer l.serve(t)()

		in := message(t, macServer, discov, relayed("10.1.1.1"), firmware("PXEClient", pxe.BIOS),
			dhcpv4.WithOption(dhcpv4.OptRelayAgentInfo(dhcpv4.OptGeneric(dhcpv4.AgentCircuitIDSubOption, []byte("port7")))))
		in.HopCount = 1
		out := exchangeUDP(t, l, relay, 67, in)
		if addr(out.YourIPAddr) != ipNode || out.BootFileName != "undionly.kpxe" {
			t.Errorf("OFFER by relay:\n%s", out.Summary())
		}
		if got := out.RelayAgentInfo(); got == nil || string(got.Get(dhcpv4.AgentCircuitIDSubOption)) != "port7" {
			t.Errorf("option 82 = %v", got)
		}
		if s := <-l.seen; s.Relay != netip.MustParseAddr("10.1.1.1") {
			t.Errorf("observed relay = %s", s.Relay)
		}
	})
}

func TestWirePortInUse(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := newLab(n)
		l.machine(macServer)
		defer l.serve(t)()
		s := newServer(t, nil)
		if err := s.Listen(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second Listen = %v, want EADDRINUSE", err)
		}
		s = newServer(t, func(c *Config) { c.Interface = "nope0" })
		if err := s.Listen(t.Context()); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("Listen on no interface = %v, want ENODEV", err)
		}
	})
}

// TestWireGarbage: the server answers after thousands of broken packets, and after its interface was down.
func TestWireGarbage(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		l := newLab(n)
		ns := l.machine(macServer, "172.24.213.2/24")
		defer l.serve(t)()
		whole := message(t, macServer, discov, firmware("PXEClient", pxe.BIOS)).ToBytes()
		err := n.In(ns, func() error {
			conn, err := net.Dial("udp4", "172.24.213.1:67")
			if err != nil {
				return err
			}
			defer conn.Close()
			r := rand.New(rand.NewPCG(1, 2))
			for i := range 3000 {
				b := append([]byte(nil), whole[:r.IntN(len(whole))+1]...)
				if i%2 == 0 {
					b = append([]byte(nil), whole...)
				}
				for range 8 {
					b[r.IntN(len(b))] ^= byte(1 << r.IntN(8))
				}
				if _, err := conn.Write(b); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c := l.client(t, ns)
		got, err := c.Request(t.Context())
		if err != nil || addr(got.ACK.YourIPAddr) != ipNode {
			t.Errorf("after garbage: %v, %v", got, err)
		}
		int0, err := netlink.LinkByName("int0")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(netlink.LinkSetDown(int0), netlink.LinkSetUp(int0)); err != nil {
			t.Fatal(err)
		}
		if got, err = c.Request(t.Context()); err != nil || addr(got.ACK.YourIPAddr) != ipNode {
			t.Errorf("after the interface was down: %v, %v", got, err)
		}
	})
}

// TestUnsavedLeaseIsNotAcknowledged: a lease that would be forgotten at the next start is none.
func TestUnsavedLeaseIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	store, seen := newStore(), make(chan Seen, 1)
	s := newServer(t, nil)
	s.store, s.observer = store, observed{seen}
	store.broken = errors.New("disk is full")
	p := new(packet)
	p.n = copy(p.buf[:], message(t, macStranger, reqst, wants(second), chose(ours)).ToBytes())
	s.handle(t.Context(), p) // without a socket: sending would panic
	if got := <-seen; got.Reply != dhcpv4.MessageTypeNone || got.Ignored == "" {
		t.Errorf("observed %+v, want silence", got)
	}
}
