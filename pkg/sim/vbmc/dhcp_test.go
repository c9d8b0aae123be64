package vbmc_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// The rack of the DHCP tests.
const (
	rackPrefix = "172.24.213.1/24"
	bmcMAC     = "52:54:00:12:34:56"
)

// dhcpServer leases one address after the other, each for as long as it says.
type dhcpServer struct {
	lease time.Duration

	mu   sync.Mutex
	next netip.Addr // what the next DISCOVER is offered
	nak  bool       // refuses to renew
	deaf bool       // answers nothing
	seen map[dhcpv4.MessageType]int
	sent chan dhcpv4.MessageType
	// heard gets an element for the first message.
	heard chan struct{}
}

// serve answers on int0 until the test ends.
func (d *dhcpServer) serve(t *testing.T) {
	t.Helper()
	d.seen, d.sent = map[dhcpv4.MessageType]int{}, make(chan dhcpv4.MessageType, 1000)
	d.heard = make(chan struct{}, 1)
	s, err := server4.NewServer("int0", &net.UDPAddr{IP: net.IPv4zero, Port: dhcpv4.ServerPort}, d.handle)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = s.Serve(); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
}

func (d *dhcpServer) handle(conn net.PacketConn, peer net.Addr, in *dhcpv4.DHCPv4) {
	reply, ok := d.reply(in)
	if !ok {
		return
	}
	if udp, ok := peer.(*net.UDPAddr); ok && (udp.IP == nil || udp.IP.IsUnspecified()) {
		peer = &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort}
	}
	if _, err := conn.WriteTo(reply.ToBytes(), peer); err == nil {
		d.sent <- reply.MessageType()
	}
}

func (d *dhcpServer) reply(in *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[in.MessageType()]++
	select {
	case d.heard <- struct{}{}:
	default:
	}
	if d.deaf {
		return nil, false
	}
	kind, addr := dhcpv4.MessageTypeOffer, net.IP(d.next.AsSlice())
	if in.MessageType() == dhcpv4.MessageTypeRequest {
		kind = dhcpv4.MessageTypeAck
		if in.ClientIPAddr != nil && !in.ClientIPAddr.IsUnspecified() { // RENEWING, REBINDING
			addr = in.ClientIPAddr
			if d.nak {
				kind, d.nak = dhcpv4.MessageTypeNak, false
			}
		}
	}
	reply, err := dhcpv4.NewReplyFromRequest(in, dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(net.IPv4(172, 24, 213, 1)),
		dhcpv4.WithYourIP(addr), dhcpv4.WithLeaseTime(uint32(d.lease/time.Second)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
		dhcpv4.WithRouter(net.IPv4(172, 24, 213, 1)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(172, 24, 213, 1))))
	return reply, err == nil
}

// set changes how it behaves.
func (d *dhcpServer) set(f func(*dhcpServer)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// until waits for a reply of a kind.
func (d *dhcpServer) until(ctx context.Context, t *testing.T, want dhcpv4.MessageType) {
	t.Helper()
	for {
		select {
		case got := <-d.sent:
			if got == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("no %s was sent; received %v", want, d.seen)
		}
	}
}

// dhcpRack is a namespace with a BMC's interface, cabled to the test's own.
func dhcpRack(t *testing.T, n *nettest.Net) vbmc.Config {
	t.Helper()
	far := n.NS("bmc")
	n.Veth(nettest.Nic{Name: "int0", Addrs: []string{rackPrefix}}, nettest.Nic{NS: far, Name: "eth0", MAC: bmcMAC})
	cfg := config(t)
	cfg.Listen, cfg.Interface = netip.AddrPort{}, "eth0"
	err := n.In(far, func() (err error) {
		cfg.NetNS, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cfg.NetNS.Close() })
	return cfg
}

// waitFor waits until the BMC has an address, or another than before.
func waitFor(ctx context.Context, t *testing.T, b *vbmc.BMC, want string) {
	t.Helper()
	for b.Addr().String() != want {
		select {
		case <-ctx.Done():
			t.Fatalf("address %s, want %s", b.Addr(), want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// A BMC gets its address by DHCP, however late the server starts, and answers there; it gives it up when told.
func TestDHCP(t *testing.T) {
	t.Parallel()
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		cfg, ctx := dhcpRack(t, n), testContext(t)
		d := &dhcpServer{lease: 2 * time.Second, next: netip.MustParseAddr("172.24.213.6"), deaf: true}
		d.serve(t)
		b, err := vbmc.New(cfg, &machine{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- b.Run(running) }()
		select { // it asks in vain first
		case <-d.heard:
		case <-ctx.Done():
			t.Fatal("no DISCOVER")
		}
		d.set(func(d *dhcpServer) { d.deaf = false })
		addr, err := b.WaitAddr(ctx)
		if err != nil || addr.String() != "172.24.213.6:623" {
			t.Fatalf("address %s, %v", addr, err)
		}
		d.until(ctx, t, dhcpv4.MessageTypeAck)
		if reading, err := client().Check(ctx, bmc.At("node-1", addr, user, password)); err != nil || reading.MAC != mac(t) {
			t.Errorf("reading %+v, %v", reading, err)
		}
		d.until(ctx, t, dhcpv4.MessageTypeAck) // renewed at T1
		waitFor(ctx, t, b, "172.24.213.6:623")
		d.set(func(d *dhcpServer) { d.nak, d.next = true, netip.MustParseAddr("172.24.213.77") })
		d.until(ctx, t, dhcpv4.MessageTypeNak)
		waitFor(ctx, t, b, "172.24.213.77:623")
		d.set(func(d *dhcpServer) { d.deaf = true })
		waitFor(ctx, t, b, "invalid AddrPort") // expired
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDHCPInterface(t *testing.T) {
	t.Parallel()
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		good, ctx := dhcpRack(t, n), testContext(t)
		for name, spoil := range map[string]func(*vbmc.Config){
			"no such interface": func(c *vbmc.Config) { c.Interface = "eth9" },
			"other MAC":         func(c *vbmc.Config) { c.MAC[5]++ },
		} {
			cfg := good
			spoil(&cfg)
			b, err := vbmc.New(cfg, &machine{}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Run(ctx); err == nil {
				t.Errorf("%s: no error", name)
			} else {
				t.Log(err)
			}
		}
	})
}
