package nettest_test

import (
	"io"
	"net"
	"os"
	"testing"

	"github.com/racker-project/racker/pkg/internal/nettest"
)

func TestVethCarriesTraffic(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		peer := n.NS("peer")
		n.Veth(
			nettest.Nic{Name: "int0", MAC: "52:54:00:00:00:01", Addrs: []string{"10.9.0.1/24"}},
			nettest.Nic{NS: peer, Name: "eth0", Addrs: []string{"10.9.0.2/24"}},
		)
		if ifc, err := net.InterfaceByName("int0"); err != nil || ifc.HardwareAddr.String() != "52:54:00:00:00:01" {
			t.Errorf("int0 = %v, %v", ifc, err)
		}
		checkEcho(t, n, peer, "10.9.0.1:0")
	})
}

func TestBridgeJoinsNamespaces(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		a, b := n.NS("a"), n.NS("b")
		n.Bridge(nettest.Nic{Name: "br0", Addrs: []string{"10.9.0.1/24"}},
			nettest.Nic{NS: a, Name: "eth0", Addrs: []string{"10.9.0.2/24"}},
			nettest.Nic{NS: b, Name: "eth0", Addrs: []string{"10.9.0.3/24"}},
		)
		checkEcho(t, n, a, "10.9.0.1:0")
		checkEcho(t, n, b, "10.9.0.1:0")
	})
}

// TestNamespaceIsOurOwn shows that nothing of the machine's network is in sight.
func TestNamespaceIsOurOwn(t *testing.T) {
	outside, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NETTEST_OUTSIDE", os.Getenv("NETTEST_OUTSIDE")+outside)
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		ifs, err := net.Interfaces()
		if err != nil || len(ifs) != 1 {
			t.Errorf("interfaces = %v, %v; want loopback alone", ifs, err)
		}
		if seen := os.Getenv("NETTEST_OUTSIDE"); seen == outside || seen == outside+outside {
			t.Errorf("namespace %s is the one outside", outside)
		}
	})
}

// checkEcho sends a byte from a namespace to a listener in the test's own, and back.
func checkEcho(t *testing.T, n *nettest.Net, from nettest.NS, listen string) {
	t.Helper()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write([]byte("x"))
			c.Close()
		}
		served <- err
	}()
	err = n.In(from, func() error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.ReadFull(c, make([]byte, 1))
		return err
	})
	if err != nil {
		t.Errorf("dial: %v", err)
		l.Close()
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}
