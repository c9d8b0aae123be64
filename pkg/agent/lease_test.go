package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"

	"github.com/racker-project/racker/pkg/internal/nettest"
)

// dhcpServer answers with one address after another, and counts.
type dhcpServer struct {
	mu       sync.Mutex
	seen     []dhcpv4.MessageType
	classes  map[string]bool
	addr     net.IP
	silent   int // DISCOVERs that are not answered
	lifetime time.Duration
	more     chan struct{}
}

func (d *dhcpServer) handle(conn net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, m.MessageType())
	d.classes[m.ClassIdentifier()] = true
	defer func() { d.more <- struct{}{} }()
	if m.MessageType() == dhcpv4.MessageTypeDiscover && d.silent > 0 {
		d.silent--
		return
	}
	kind := dhcpv4.MessageTypeOffer
	if m.MessageType() == dhcpv4.MessageTypeRequest {
		kind = dhcpv4.MessageTypeAck
		if c := m.ClientIPAddr; !c.IsUnspecified() && !c.Equal(d.addr) {
			kind = dhcpv4.MessageTypeNak
		}
	}
	reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(d.addr),
		dhcpv4.WithServerIP(net.IPv4(10, 9, 0, 1)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 9, 0, 1))),
		dhcpv4.WithNetmask(net.CIDRMask(20, 32)), dhcpv4.WithRouter(net.IPv4(10, 9, 0, 1)), dhcpv4.WithLeaseTime(uint32(d.lifetime.Seconds())))
	if err == nil {
		_, _ = conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
	}
}

// TestLease gets a lease on a cable, renews it, is refused, and gets another.
func TestLease(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		peer := n.NS("server")
		n.Veth(nettest.Nic{Name: "boot0", MAC: testMAC}, nettest.Nic{NS: peer, Name: "srv0", Addrs: []string{"10.9.0.1/20"}})
		d := &dhcpServer{classes: map[string]bool{}, addr: net.IPv4(10, 9, 0, 7).To4(), silent: 1, lifetime: time.Hour, more: make(chan struct{}, 100)}
		var srv *server4.Server
		err := n.In(peer, func() (err error) {
			srv, err = server4.NewServer("srv0", nil, d.handle)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var owned sync.WaitGroup
		owned.Go(func() { _ = srv.Serve() })
		defer func() { _ = srv.Close(); owned.Wait() }()

		link, err := netlink.LinkByName("boot0")
		if err != nil {
			t.Fatal(err)
		}
		h := &leaseholder{link: link, log: slog.New(slog.NewTextHandler(t.Output(), nil)), least: 10 * time.Millisecond,
			retry: pace{First: 10 * time.Millisecond, Most: 10 * time.Millisecond}}
		if err := raise(t.Context(), link, h.log); err != nil {
			t.Fatal(err)
		}
		if err := h.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantAddrs(t, link, "10.9.0.7/20")
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
		if err != nil || len(routes) != 1 || !routes[0].Gw.Equal(net.IPv4(10, 9, 0, 1)) {
			t.Errorf("default route %v, %v", routes, err)
		}

		// a renewal, then the server has another address for the machine: NAK, and a new lease
		h.lease.ACK.UpdateOption(dhcpv4.OptRenewTimeValue(time.Millisecond))
		d.mu.Lock()
		d.addr = net.IPv4(10, 9, 0, 8).To4()
		before := len(d.seen)
		d.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		owned.Go(func() { h.keep(ctx) })
		for range before {
			<-d.more
		}
		for range 3 { // REQUEST (NAK), DISCOVER, REQUEST
			select {
			case <-d.more:
			case <-time.After(answerTime):
				t.Fatal("the lease was not renewed")
			}
		}
		awaitAddrs(t, link, "10.9.0.8/20")
		cancel()
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.classes[vendorClass] || len(d.classes) != 1 {
			t.Errorf("vendor classes %v", d.classes)
		}
	})
}

// addrs gives the IPv4 addresses of a link.
func addrs(t *testing.T, link netlink.Link) []string {
	t.Helper()
	list, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range list {
		out = append(out, a.IPNet.String())
	}
	return out
}

func wantAddrs(t *testing.T, link netlink.Link, want string) {
	t.Helper()
	if got := addrs(t, link); len(got) != 1 || got[0] != want {
		t.Errorf("addresses %v, want %s", got, want)
	}
}

// awaitAddrs waits for the one address, as the kernel tells of changes.
func awaitAddrs(t *testing.T, link netlink.Link, want string) {
	t.Helper()
	updates := make(chan netlink.AddrUpdate, 16)
	done := make(chan struct{})
	defer close(done)
	if err := netlink.AddrSubscribe(updates, done); err != nil {
		t.Fatal(err)
	}
	limit := time.After(answerTime)
	for {
		if got := addrs(t, link); len(got) == 1 && got[0] == want {
			return
		}
		select {
		case <-updates:
		case <-limit:
			wantAddrs(t, link, want)
			return
		}
	}
}

// TestLeaseCancel ends while nobody answers.
func TestLeaseCancel(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		peer := n.NS("nobody")
		n.Veth(nettest.Nic{Name: "boot0"}, nettest.Nic{NS: peer, Name: "x0"})
		link, err := netlink.LinkByName("boot0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		h := &leaseholder{link: link, log: slog.New(slog.DiscardHandler), retry: pace{First: time.Millisecond, Most: time.Millisecond}}
		began := time.Now()
		if err := h.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("acquire: %v", err)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	})
}
