package nettest

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Net is the network of one test. Its methods end the test when something fails, so call them from the test's own
// goroutine only; In may be called from any.
type Net struct {
	t    *testing.T
	root netns.NsHandle
}

// NS is a network namespace, a machine of its own as far as the network goes. The zero value is the test's own.
type NS struct {
	name string
	h    netns.NsHandle
	own  bool
}

func newNet(t *testing.T) (*Net, error) {
	h, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("own namespace: %w", err)
	}
	t.Cleanup(func() { _ = h.Close() })
	n := &Net{t: t, root: h}
	return n, setUp("lo")
}

func setUp(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return netlink.LinkSetUp(l)
}

// NS makes a further namespace, with loopback up; it goes with the test.
func (n *Net) NS(name string) NS {
	n.t.Helper()
	ns := NS{name: name, own: true}
	err := onThread(func() error {
		h, err := netns.New() // the thread is in it from now on
		if err != nil {
			return err
		}
		ns.h = h
		return setUp("lo")
	})
	if err != nil {
		n.t.Fatalf("nettest: namespace %s: %v", name, err)
	}
	n.t.Cleanup(func() { _ = ns.h.Close() })
	return ns
}

// onThread runs f on a thread of its own, which ends with it, so that whatever f does to it is of no consequence.
func onThread(f func() error) error {
	errc := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is thrown away
		errc <- f()
	}()
	return <-errc
}

// In calls f in a namespace and gives its error. Sockets that f opens, and processes that it starts, belong to that
// namespace for good; goroutines that it starts do not.
func (n *Net) In(ns NS, f func() error) error {
	if !ns.own {
		return f()
	}
	return onThread(func() error {
		if err := netns.Set(ns.h); err != nil {
			return fmt.Errorf("enter namespace %s: %w", ns.name, err)
		}
		return f()
	})
}

// Nic is one interface of Veth or Bridge: its name, and, if wanted, its MAC and its addresses with prefix length.
type Nic struct {
	NS    NS
	Name  string
	MAC   string
	Addrs []string
}

// Veth joins two namespaces with a cable.
func (n *Net) Veth(a, b Nic) {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.Name
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: b.Name, PeerNamespace: netlink.NsFd(n.handle(b.NS))}
	err := n.In(a.NS, func() error { return netlink.LinkAdd(v) })
	if err != nil {
		n.t.Fatalf("nettest: cable %s-%s: %v", a.Name, b.Name, err)
	}
	n.configure(a)
	n.configure(b)
	n.awaitUp(a)
	n.awaitUp(b)
}

// awaitUp waits until the kernel has noticed that the cable is plugged in: it does so a little later, and drops what is
// sent before.
func (n *Net) awaitUp(nic Nic) {
	n.t.Helper()
	var state netlink.LinkOperState
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		err := n.In(nic.NS, func() error {
			l, err := netlink.LinkByName(nic.Name)
			if err == nil {
				state = l.Attrs().OperState
			}
			return err
		})
		if err != nil {
			n.t.Fatalf("nettest: interface %s: %v", nic.Name, err)
		}
		if state == netlink.OperUp {
			return
		}
	}
	n.t.Fatalf("nettest: interface %s has no link: %v", nic.Name, state)
}

// Bridge makes a switch in a namespace and cables every port of it to a NIC elsewhere.
func (n *Net) Bridge(sw Nic, ports ...Nic) {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = sw.Name
	err := n.In(sw.NS, func() error { return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}) })
	if err != nil {
		n.t.Fatalf("nettest: switch %s: %v", sw.Name, err)
	}
	n.configure(sw)
	for i, p := range ports {
		port := fmt.Sprintf("%.9s-p%d", sw.Name, i)
		n.Veth(Nic{NS: sw.NS, Name: port}, p)
		err := n.In(sw.NS, func() error {
			l, err := netlink.LinkByName(port)
			if err != nil {
				return err
			}
			br, err := netlink.LinkByName(sw.Name)
			if err != nil {
				return err
			}
			return netlink.LinkSetMaster(l, br)
		})
		if err != nil {
			n.t.Fatalf("nettest: port %s of %s: %v", port, sw.Name, err)
		}
	}
	if len(ports) > 0 {
		n.awaitUp(sw)
	}
}

func (n *Net) handle(ns NS) int {
	if ns.own {
		return int(ns.h)
	}
	return int(n.root)
}

func (n *Net) configure(nic Nic) {
	n.t.Helper()
	err := n.In(nic.NS, func() error {
		l, err := netlink.LinkByName(nic.Name)
		if err != nil {
			return err
		}
		if nic.MAC != "" {
			hw, err := net.ParseMAC(nic.MAC)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetHardwareAddr(l, hw); err != nil {
				return err
			}
		}
		for _, s := range nic.Addrs {
			a, err := netlink.ParseAddr(s)
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(l, a); err != nil {
				return fmt.Errorf("address %s: %w", s, err)
			}
		}
		return netlink.LinkSetUp(l)
	})
	if err != nil {
		n.t.Fatalf("nettest: interface %s: %v", nic.Name, err)
	}
}

// Route adds a route in a namespace: to a prefix, by way of an address.
func (n *Net) Route(ns NS, prefix, via string) {
	n.t.Helper()
	err := n.In(ns, func() error {
		dst, err := netlink.ParseIPNet(prefix)
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(via)})
	})
	if err != nil {
		n.t.Fatalf("nettest: route to %s by %s: %v", prefix, via, err)
	}
}
