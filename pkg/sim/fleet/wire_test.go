package fleet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/netif"
	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/tftpd"
)

const serverNIC = "internal0"

// rig is a fleet without a rack: the relay's outer tap is the server's own NIC, and racker's DHCP and TFTP servers run in
// the test.
type rig struct {
	t      *testing.T
	fleet  *Fleet
	node   *node
	served chan tftpd.Served
}

// program is a boot program of more than 65535 bytes and a last block that is not full.
func program() []byte {
	b := make([]byte, 74213)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func (r *rig) Lookup(m rack.MAC) (dhcpd.Reservation, bool) {
	return dhcpd.Reservation{IP: ipB, Boot: true, HostName: "node-1"}, m == macB
}
func (r *rig) Has(string) bool                             { return true }
func (r *rig) Packet(context.Context, dhcpd.Seen)          {}
func (r *rig) Load(context.Context) ([]dhcpd.Lease, error) { return nil, nil }
func (r *rig) Save(context.Context, ...dhcpd.Lease) error  { return nil }
func (r *rig) File(_ context.Context, s tftpd.Served)      { r.served <- s }
func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// newRig cables a fleet of one server with macB to the test, and runs what both sides need.
func newRig(t *testing.T) *rig {
	log := slog.New(slog.DiscardHandler)
	f := &Fleet{log: log, scale: 0.01, proofs: newProofs(), jobs: make(chan func(context.Context)), over: make(chan struct{})}
	r := &rig{t: t, fleet: f, served: make(chan tftpd.Served, 8)}
	f.relay = newRelay(netip.MustParsePrefix("172.24.213.0/24"), macA, log)
	r.node = &node{fleet: f, row: &rack.Node{Name: "node-1", Primary: macB}, hw: defaultServer(), port: f.relay.port(macB), log: log, state: sim.StateOff}
	r.node.nics = [2]*port{r.node.port, r.node.port}
	r.node.hw.Firmware = sim.FirmwareBIOS
	outer := r.ownTap()
	ns, err := sim.NewNamespace(false)
	r.must(err)
	inner, err := ns.Tap(innerTap)
	r.must(err)
	f.relay.outer, err = offloading(outer)
	r.must(err)
	f.relay.inner, err = offloading(inner)
	r.must(errors.Join(err, outer.Close(), inner.Close()))
	r.must(f.relay.route(ns))
	f.sockets = newSockets(ns)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 8)
	parts := []func(context.Context) error{f.relay.run, f.sockets.run, f.employ, r.dhcp(), r.tftp()}
	for _, run := range parts {
		go func() { done <- run(ctx) }()
	}
	t.Cleanup(func() {
		r.node.power(false, false)
		cancel()
		for range parts {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		r.must(ns.Close())
	})
	return r
}

// ownTap makes a tap in the test's own namespace, the server's NIC.
func (r *rig) ownTap() *os.File {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	r.must(err)
	req, err := unix.NewIfreq(serverNIC)
	r.must(err)
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	r.must(unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	link, err := netlink.LinkByName(serverNIC)
	r.must(err)
	r.must(netlink.LinkSetHardwareAddr(link, macA.Hardware()))
	r.must(netif.AddAddress(serverNIC, netip.MustParsePrefix("172.24.213.1/24")))
	return os.NewFile(uintptr(fd), "tap")
}

func (r *rig) dhcp() func(context.Context) error {
	s, err := dhcpd.New(dhcpd.Config{Interface: serverNIC, Server: ipA, Prefix: r.fleet.relay.prefix}, r, r, r, r, r.fleet.log)
	r.must(err)
	r.must(s.Listen(r.t.Context()))
	return s.Run
}

func (r *rig) tftp() func(context.Context) error {
	s, err := tftpd.New(tftpd.Config{Server: ipA, Drain: time.Second}, fstest.MapFS{"undionly.kpxe": {Data: program()}}, r, r.fleet.log)
	r.must(err)
	r.must(s.Listen(r.t.Context()))
	return s.Run
}

// session is a server that was switched on and does nothing by itself.
func (r *rig) session() *session {
	s := &session{node: r.node, port: r.node.port, cut: func() {}, done: make(chan struct{})}
	close(s.done)
	r.node.now, r.node.on = s, true
	return s
}

// count is how many connections are open.
func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// inRig runs a test in a rig, in a namespace of its own.
func inRig(t *testing.T, f func(ctx context.Context, r *rig)) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f(ctx, newRig(t))
	})
}

// An address is leased, and behind it the server's kernel sees the fake server's own MAC, until its power goes.
func TestLeaseAndNeighbour(t *testing.T) {
	inRig(t, func(ctx context.Context, r *rig) {
		s := r.session()
		ack, err := s.lease(ctx, firmwarePatience(), asFirmware(pxe.ClassPXE, pxe.BIOS, r.node.uuid())...)
		r.must(err)
		if leased(ack) != ipB || ack.BootFileName != "undionly.kpxe" || r.node.port.address() != ipB {
			t.Errorf("leased %s with boot file %q, configured %s", leased(ack), ack.BootFileName, r.node.port.address())
		}
		seen, err := netif.FindNeighbour(ctx, serverNIC, ipB)
		r.must(err)
		if seen.MAC != macB {
			t.Errorf("the server sees %+v behind %s", seen, ipB)
		}
		ack, err = s.lease(ctx, ipxePatience(), asIPXE(pxe.BIOS, r.node.uuid())...)
		r.must(err)
		if ack.BootFileName != "http://172.24.213.1:8080/boot.ipxe" {
			t.Errorf("iPXE gets boot file %q", ack.BootFileName)
		}
		r.node.power(false, true)
		link, err := netlink.LinkByName(serverNIC)
		r.must(err)
		r.must(netlink.NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: ipB.AsSlice()}))
		if seen, err = netif.FindNeighbour(ctx, serverNIC, ipB); err != nil || !seen.MAC.IsZero() {
			t.Errorf("a server without power answers: %+v, %v", seen, err)
		}
	})
}

func TestTFTPReadsAll(t *testing.T) {
	inRig(t, func(ctx context.Context, r *rig) {
		s := r.session()
		_, err := s.lease(ctx, firmwarePatience(), asFirmware(pxe.ClassPXE, pxe.BIOS, r.node.uuid())...)
		r.must(err)
		n, err := s.tftp(ctx, ipA, "undionly.kpxe", false)
		if err != nil || n != int64(len(program())) {
			t.Errorf("%d bytes, %v", n, err)
		}
		for _, probe := range []bool{true, false} {
			got := <-r.served
			if got.Err != nil || got.Probe != probe || got.IP != ipB || !probe && got.Bytes != n {
				t.Errorf("the server saw %+v, want probe %t", got, probe)
			}
		}
		if _, err := s.tftp(ctx, ipA, "missing", false); !errors.Is(err, errTFTP) {
			t.Errorf("a file that is not there: %v", err)
		}
	})
}

// A stalled transfer ends with the power, and the server hears nothing more.
func TestTFTPStall(t *testing.T) {
	inRig(t, func(ctx context.Context, r *rig) {
		s := r.session()
		_, err := s.lease(ctx, firmwarePatience(), asFirmware(pxe.ClassPXE, pxe.BIOS, r.node.uuid())...)
		r.must(err)
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		n, err := s.tftp(short, ipA, "undionly.kpxe", true)
		if all := int64(len(program())); !errors.Is(err, context.DeadlineExceeded) || n < all/2 || n > all/2+blockSize {
			t.Errorf("stopped at byte %d of %d: %v", n, all, err)
		}
	})
}

// Large frames pass the relay whole, both ways; a cut cable, or the end of power, ends connections without a word.
func TestHTTPThroughTheRelay(t *testing.T) {
	inRig(t, func(ctx context.Context, r *rig) {
		s := r.session()
		r.node.port.configure(ipB)
		body := bytes.Repeat(program(), 200)
		l, err := net.Listen("tcp4", "172.24.213.1:0")
		r.must(err)
		from := make(chan string, 4)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			from <- req.RemoteAddr
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = w.Write(body)
		})}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		at := &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/file"}
		client := &http.Client{Transport: &http.Transport{DialContext: s.dial}}
		res, err := client.Post(at.String(), "", bytes.NewReader(body))
		r.must(err)
		got, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d of %d bytes came back: %v", len(got), len(body), err)
		}
		if peer := netip.MustParseAddrPort(<-from); peer.Addr() != ipB {
			t.Errorf("the server sees %s", peer)
		}
		if n := s.lines.count(); n != 1 {
			t.Errorf("%d connections are open", n)
		}
		r.node.power(false, false)
		if n := s.lines.count(); n != 0 {
			t.Errorf("%d connections are open without power", n)
		}
		if _, err := client.Get(at.String()); !errors.Is(err, errNoAddress) {
			t.Errorf("a request without power: %v", err)
		}
		if n := r.fleet.relay.odd.Load(); n != 0 {
			t.Errorf("%d frames were not taken", n)
		}
	})
}

// A connection that is refused says so at once.
func TestDialRefused(t *testing.T) {
	inRig(t, func(ctx context.Context, r *rig) {
		s := r.session()
		r.node.port.configure(ipB)
		if _, err := s.dial(ctx, "tcp", "172.24.213.1:9"); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("a port that nobody has: %v", err)
		}
		gone, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		r.node.port.pulled.Store(true)
		if _, err := s.dial(gone, "tcp", "172.24.213.1:9"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a cable: %v", err)
		}
	})
}
