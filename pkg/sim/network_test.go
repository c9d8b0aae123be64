package sim

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/rack"
)

// jumbo is what the switches of these tests carry.
const jumbo = 9000

// testNetwork cables the default rack.
func testNetwork(t *testing.T) *Network {
	t.Helper()
	r := testRack(t)
	n, err := NewNetwork(r.Management(), r.Servers(), jumbo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// unjoined sends data in one frame, or not at all.
func unjoined(c *net.UDPConn, data []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	if err = errors.Join(err, set); err != nil {
		return err
	}
	_, err = c.Write(data)
	return err
}

// Two racks of the same nodes.csv at once: in each, the management node reaches its BMC, from the first packet on.
func TestRacksAreApart(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		prefix := netip.MustParsePrefix(DefaultPrefix)
		at := netip.MustParseAddr("172.24.213.9")
		for _, name := range []string{"first", "second"} {
			n := testNetwork(t)
			if err := n.Management.Address(InternalInterface, ManagementAddress(prefix)); err != nil {
				t.Fatal(err)
			}
			bmc := n.bmcs["node-1"]
			if err := bmc.Address(bmcInterface, netip.PrefixFrom(at, prefix.Bits())); err != nil {
				t.Fatal(err)
			}
			var server, client *net.UDPConn
			must(t, bmc.Do(func() (err error) {
				server, err = net.ListenUDP("udp4", &net.UDPAddr{IP: at.AsSlice(), Port: 623})
				return err
			}))
			must(t, n.Management.Do(func() (err error) {
				client, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: at.AsSlice(), Port: 623})
				return err
			}))
			defer server.Close()
			defer client.Close()
			if _, err := client.Write([]byte(name)); err != nil {
				t.Fatal(err)
			}
			must(t, server.SetReadDeadline(time.Now().Add(10*time.Second)))
			must(t, unjoined(client, make([]byte, jumbo-28)))
			buf := make([]byte, jumbo)
			k, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil || string(buf[:k]) != name || from.Addr().Unmap() != prefix.Addr().Next() {
				t.Fatalf("the BMC of the %s rack got %q from %s: %v", name, buf[:k], from, err)
			}
			if k, _, err = server.ReadFromUDPAddrPort(buf); err != nil || k != jumbo-28 {
				t.Fatalf("of a jumbo frame the BMC of the %s rack got %d bytes: %v", name, k, err)
			}
		}
		if links, err := net.Interfaces(); err != nil || len(links) != 1 {
			t.Errorf("the host has interfaces besides its loopback: %v, %v", links, err)
		}
	})
}

func TestCabling(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		n := testNetwork(t)
		for name, mac := range map[string]string{InternalInterface: "52:54:00:00:02:01", PublicInterface: "52:54:00:00:00:01"} {
			if link, err := n.Management.links.LinkByName(name); err != nil || link.Attrs().HardwareAddr.String() != mac {
				t.Errorf("the management node's %s is %+v, want MAC %s (%v)", name, link, mac, err)
			}
		}
		link, err := n.bmcs["node-2"].links.LinkByName(bmcInterface)
		if err != nil || link.Attrs().HardwareAddr.String() != "52:54:00:00:01:12" {
			t.Errorf("the BMC of node-2 has %+v (%v)", link, err)
		}
	})
}

func TestTap(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		n := testNetwork(t)
		tap, err := n.Tap("srv1-int", BridgeInternal)
		if os.IsNotExist(err) || os.IsPermission(err) {
			t.Skipf("no use of %s here: %v", tunDevice, err)
		}
		must(t, err)
		br, err := n.Switches.links.LinkByName(BridgeInternal)
		must(t, err)
		link, err := n.Switches.links.LinkByName("srv1-int")
		if err != nil || link.Attrs().MasterIndex != br.Attrs().Index || link.Attrs().Flags&net.FlagUp == 0 {
			t.Errorf("the tap is %+v, want it up and in bridge %d (%v)", link, br.Attrs().Index, err)
		}
		if _, err := n.Tap("srv1-int", BridgeInternal); err == nil {
			t.Error("the same port was made twice")
		}
		must(t, tap.Close())
		if _, err := n.Switches.links.LinkByName("srv1-int"); err == nil {
			t.Error("the port is there after its file was closed")
		}
	})
}

// A row that cannot be cabled leaves nothing open.
func TestNetworkFails(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		r := testRack(t)
		cable := func() {
			if _, err := NewNetwork(r.Management(), []*rack.Node{{Name: "x", BMC: rack.MAC{1, 0, 0, 0, 0, 1}}}, DefaultMTU); err == nil {
				t.Error("a BMC with a multicast MAC was cabled")
			}
		}
		cable() // what Go's runtime opens once does not count
		before := openFiles(t)
		cable()
		if after := openFiles(t); after != before {
			t.Errorf("%d files were open, and now %d", before, after)
		}
	})
}

func TestNamespaceDoComesBack(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		ns, err := NewNamespace(false)
		must(t, err)
		defer ns.Close()
		must(t, ns.Do(func() error {
			h, err := netlink.NewHandle()
			if err != nil {
				return err
			}
			defer h.Close()
			return h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"}, PeerName: "b"})
		}))
		if _, err := net.InterfaceByName("a"); err == nil {
			t.Error("the interface of another namespace is seen here")
		}
		if _, err := ns.links.LinkByName("b"); err != nil {
			t.Errorf("the interface is not where it was made: %v", err)
		}
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(files)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
