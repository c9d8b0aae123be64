package netif

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/rack"
)

var (
	macOurs = rack.MAC{0x52, 0x54, 0, 0, 0, 1}
	macPeer = rack.MAC{0x52, 0x54, 0, 0, 0, 2}
	ipOurs  = netip.MustParseAddr("172.24.213.1")
	ipPeer  = netip.MustParseAddr("172.24.213.2")
)

// cable joins int0 of the test to a peer.
func cable(n *nettest.Net) nettest.NS {
	peer := n.NS("peer")
	n.Veth(nettest.Nic{Name: "int0", MAC: macOurs.String(), Addrs: []string{"172.24.213.1/24"}},
		nettest.Nic{NS: peer, Name: "eth0", MAC: macPeer.String(), Addrs: []string{"172.24.213.2/24"}})
	return peer
}

func TestInterfaces(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		cable(n)
		n.Bridge(nettest.Nic{Name: "br0", MAC: macOurs.String()})
		got, err := ByName("int0")
		if err != nil {
			t.Fatal(err)
		}
		got.Addresses = got.Addresses[:1] // the link-local one comes when it will
		got.Index = 0
		want := Interface{
			Name: "int0", MAC: macOurs, Up: true, Running: true, Kind: "veth", MTU: 1500,
			Addresses: []netip.Prefix{netip.MustParsePrefix("172.24.213.1/24")},
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("ByName (-want +got):\n%s", d)
		}
		if s := got.String(); s != "int0 52:54:00:00:00:01 172.24.213.1/24" {
			t.Errorf("String = %q", s)
		}
		all, err := List()
		if err != nil || len(all) != 2 || all[0].Name != "int0" || all[1].Name != "br0" || all[1].Kind != "bridge" {
			t.Errorf("List = %v, %v", all, err)
		}
		shared, err := ByMAC(macOurs)
		if err != nil || len(shared) != 2 {
			t.Errorf("ByMAC = %v, %v, want both that share it", shared, err)
		}
		if _, err := ByName("nope0"); !errors.Is(err, ErrNoInterface) {
			t.Errorf("ByName of none = %v", err)
		}
	})
}

func TestAddAddress(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "int0"}}); err != nil {
			t.Fatal(err)
		}
		p := netip.PrefixFrom(ipOurs, 24)
		for range 2 { // the second time it has it already
			if err := AddAddress("int0", p); err != nil {
				t.Errorf("AddAddress = %v", err)
			}
		}
		has, err := HasAddress("int0", ipOurs)
		if err != nil || !has {
			t.Errorf("HasAddress = %v, %v", has, err)
		}
		if has, err := HasAddress("int0", ipPeer); err != nil || has {
			t.Errorf("HasAddress of another = %v, %v", has, err)
		}
		if i, err := ByName("int0"); err != nil || !i.Up {
			t.Errorf("after AddAddress: %+v, %v", i, err)
		}
		if err := AddAddress("nope0", p); !errors.Is(err, ErrNoInterface) {
			t.Errorf("AddAddress to none = %v", err)
		}
		if err := AddAddress("int0", netip.Prefix{}); err == nil {
			t.Error("no address was accepted")
		}
	})
}

func TestFindNeighbour(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		peer := cable(n)
		got, err := FindNeighbour(t.Context(), "int0", ipPeer)
		if err != nil || got.MAC != macPeer || !got.Confirmed() {
			t.Errorf("first = %+v, %v", got, err)
		}
		setStale(t)
		began := time.Now()
		if got, err = FindNeighbour(t.Context(), "int0", ipPeer); err != nil || got.MAC != macPeer || !got.Confirmed() {
			t.Errorf("an old entry = %+v, %v", got, err)
		}
		if d := time.Since(began); d > probeFor/2 {
			t.Errorf("it took %s: nobody but the kernel asked", d)
		}

		// The machine behind the address is another one now.
		other := rack.MAC{0x52, 0x54, 0, 0, 0, 0x77}
		err = n.In(peer, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return netlink.LinkSetHardwareAddr(l, other.Hardware())
		})
		if err != nil {
			t.Fatal(err)
		}
		setStale(t)
		// For a second after a change the kernel takes no other MAC for the address (arp(7), locktime).
		for began := time.Now(); got.MAC != other; {
			got, err = FindNeighbour(t.Context(), "int0", ipPeer)
			if err != nil || (got.MAC == macPeer && got.Confirmed()) || time.Since(began) > 5*time.Second {
				t.Fatalf("after the change = %+v, %v", got, err)
			}
		}
	})
}

// setStale makes the peer's entry one that the kernel has not confirmed lately.
func setStale(t *testing.T) {
	t.Helper()
	l, err := netlink.LinkByName("int0")
	if err != nil {
		t.Fatal(err)
	}
	old := &netlink.Neigh{LinkIndex: l.Attrs().Index, IP: ipPeer.AsSlice(), HardwareAddr: macPeer.Hardware(), State: netlink.NUD_STALE}
	if err := errors.Join(netlink.NeighDel(old), netlink.NeighSet(old)); err != nil {
		t.Fatal(err)
	}
}

func TestFindNeighbourNobody(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		cable(n)
		nobody := netip.MustParseAddr("172.24.213.99")
		got, err := FindNeighbour(t.Context(), "int0", nobody)
		if err != nil || !got.MAC.IsZero() || got.Confirmed() {
			t.Errorf("nobody = %+v, %v", got, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := FindNeighbour(ctx, "int0", netip.MustParseAddr("172.24.213.98")); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled = %v", err)
		}
		if _, err := FindNeighbour(t.Context(), "nope0", nobody); !errors.Is(err, ErrNoInterface) {
			t.Errorf("no interface = %v", err)
		}
	})
}

func TestPortUser(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		tcp, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		me := fmt.Sprintf("(pid %d)", os.Getpid())
		port := udp.LocalAddr().(*net.UDPAddr).Port
		if got := PortUser("udp", port); !strings.HasSuffix(got, me) {
			t.Errorf("udp = %q, want ... %s", got, me)
		}
		if got := PortUser("tcp", tcp.Addr().(*net.TCPAddr).Port); !strings.HasSuffix(got, me) {
			t.Errorf("tcp over IPv6 = %q, want ... %s", got, me)
		}
		if got := PortUser("tcp", port); got != "" {
			t.Errorf("the UDP port under tcp = %q", got)
		}
		_, err = net.ListenPacket("udp4", udp.LocalAddr().String())
		err = InUse(fmt.Errorf("listen: %w", err), "udp", port)
		if !errors.Is(err, ErrPortInUse) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), me) {
			t.Errorf("InUse = %v", err)
		}
		if err := InUse(os.ErrPermission, "udp", port); err != os.ErrPermission { //nolint:errorlint // the very same is promised
			t.Errorf("InUse of another error = %v", err)
		}
		if InUse(nil, "udp", port) != nil {
			t.Error("InUse of nil")
		}
	})
}
