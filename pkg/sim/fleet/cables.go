package fleet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
)

// Names of interfaces, the first two in the servers' namespace.
const (
	innerTap  = "servers0"
	bmcRouter = "router0"
	outerTap  = "fleet" // on the internal bridge
)

// tapQueue is how many frames wait for the relay: a rack that powers up sends in bursts.
const tapQueue = 8192

// tsoSegments is how many packets of a TCP stream pass the relay as one frame at least, where there are as many: about
// 46 KiB.
const tsoSegments = "32"

// Addresses of the hop between the management node's public NIC and a network of BMCs of its own (RFC 5737, TEST-NET-1).
const (
	hopManagement = "192.0.2.1/24"
	hopRouter     = "192.0.2.254/24"
)

// cable makes the servers' namespace and the relay's taps.
func (r *relay) cable(net *sim.Network) (*sim.Namespace, error) {
	ns, err := sim.NewNamespace(false)
	if err != nil {
		return nil, err
	}
	if err := r.cableIn(net, ns); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

func (r *relay) cableIn(net *sim.Network, ns *sim.Namespace) error {
	outer, err := net.Tap(outerTap, sim.BridgeInternal)
	if err != nil {
		return err
	}
	defer outer.Close()
	inner, err := ns.Tap(innerTap)
	if err != nil {
		return err
	}
	defer inner.Close()
	for _, t := range []struct {
		ns   *sim.Namespace
		name string
	}{{net.Switches, outerTap}, {ns, innerTap}} {
		link, err := t.ns.Links().LinkByName(t.name)
		if err == nil {
			err = t.ns.Links().LinkSetTxQLen(link, tapQueue)
		}
		if err != nil {
			return fmt.Errorf("queue of %s: %w", t.name, err)
		}
	}
	// With a thousand streams at once each is so slow that the kernel would send two packets at a time.
	if err := net.Management.Sysctl("ipv4/tcp_min_tso_segs", tsoSegments); err != nil {
		r.log.Debug("streams stay as they are", "err", err)
	}
	if r.outer, err = offloading(outer); err != nil {
		return err
	}
	if r.inner, err = offloading(inner); err != nil {
		return errors.Join(err, r.outer.Close())
	}
	return r.route(ns)
}

// route makes every address of the internal network but the server's local, and the way to the server the tap. The tap
// asks for no MACs: the relay knows them.
func (r *relay) route(ns *sim.Namespace) error {
	links := ns.Links()
	tap, err := links.LinkByName(innerTap)
	if err == nil {
		err = links.LinkSetARPOff(tap)
	}
	if err != nil {
		return fmt.Errorf("set up %s: %w", innerTap, err)
	}
	if err := ns.Up(innerTap); err != nil {
		return err
	}
	if tap, err = links.LinkByName(innerTap); err != nil {
		return fmt.Errorf("set up %s: %w", innerTap, err)
	}
	r.innerMAC = rack.MACFrom(tap.Attrs().HardwareAddr)
	if err := localNetwork(ns, r.prefix); err != nil {
		return err
	}
	// In the same table, which is looked up first, and longer.
	server := &netlink.Route{
		LinkIndex: tap.Attrs().Index, Dst: ipNet(netip.PrefixFrom(r.server, 32)), Scope: netlink.SCOPE_LINK, Table: unix.RT_TABLE_LOCAL,
	}
	if err := links.RouteAdd(server); err != nil {
		return fmt.Errorf("route to %s: %w", r.server, err)
	}
	return nil
}

// localNetwork makes all addresses of a network the namespace's own.
func localNetwork(ns *sim.Namespace, p netip.Prefix) error {
	lo, err := ns.Links().LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	route := &netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: ipNet(p), Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST, Table: unix.RT_TABLE_LOCAL,
	}
	if err := ns.Links().RouteAdd(route); err != nil {
		return fmt.Errorf("make %s local: %w", p, err)
	}
	return nil
}

// routeBMCs puts the BMCs' own network behind a router that the management node reaches by its public NIC.
func routeBMCs(n *sim.Network, ns *sim.Namespace, bmcs netip.Prefix) error {
	if err := n.Plug(ns, bmcRouter, rack.MAC{0x52, 0x54, 0, 0, 0, 0xfe}, "router", sim.BridgePublic); err != nil {
		return err
	}
	if err := ns.Address(bmcRouter, netip.MustParsePrefix(hopRouter)); err != nil {
		return err
	}
	if err := localNetwork(ns, bmcs); err != nil {
		return err
	}
	if err := n.Management.Address(sim.PublicInterface, netip.MustParsePrefix(hopManagement)); err != nil {
		return err
	}
	via := netip.MustParsePrefix(hopRouter).Addr()
	if err := n.Management.Links().RouteAdd(&netlink.Route{Dst: ipNet(bmcs), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("route to the BMCs' network %s: %w", bmcs, err)
	}
	return nil
}

// offloading gives a tap as a file that can be waited for, and tells the kernel that frames may be large and unfinished.
func offloading(tap *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(tap.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open tap: %w", err)
	}
	const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4
	err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open tap: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "tap"), nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
