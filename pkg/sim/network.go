package sim

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

// Names inside the rack's namespaces. They are the same in every rack, since no two racks share a namespace.
const (
	bridgeInternal = "internal"
	bridgePublic   = "public"
	// InternalInterface is the management node's NIC on the internal network; it has the row's secondary MAC.
	InternalInterface = "internal0"
	// PublicInterface is the management node's NIC on the public network; it has the row's primary MAC.
	PublicInterface = "public0"
	// bmcInterface is the NIC of a virtual BMC in its own namespace.
	bmcInterface = "bmc0"
)

// network is the cabling of a rack: a namespace for its switches, one for the management node, and one per BMC.
type network struct {
	rack *namespace
	mgmt *namespace
	bmcs map[string]*namespace // by node name
}

// newNetwork makes the switches and connects the management node and the BMC of each server.
func newNetwork(mgmt *rack.Node, servers []*rack.Node) (*network, error) {
	n := &network{bmcs: map[string]*namespace{}}
	if err := n.build(mgmt, servers); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *network) build(mgmt *rack.Node, servers []*rack.Node) error {
	var err error
	if n.rack, err = newNamespace(false); err != nil {
		return err
	}
	for _, name := range []string{bridgeInternal, bridgePublic} {
		if err := n.addBridge(name); err != nil {
			return err
		}
	}
	if n.mgmt, err = newNamespace(true); err != nil {
		return err
	}
	if err := n.plug(n.mgmt, InternalInterface, mgmt.Secondary, "mgmt-int", bridgeInternal); err != nil {
		return err
	}
	if err := n.plug(n.mgmt, PublicInterface, mgmt.Primary, "mgmt-pub", bridgePublic); err != nil {
		return err
	}
	for i, s := range servers {
		if s.BMC.IsZero() {
			continue
		}
		ns, err := newNamespace(false)
		if err != nil {
			return err
		}
		n.bmcs[s.Name] = ns
		if err := n.plug(ns, bmcInterface, s.BMC, fmt.Sprintf("bmc%d", i+1), bridgeInternal); err != nil {
			return fmt.Errorf("BMC of %s: %w", s.Name, err)
		}
	}
	return nil
}

// addBridge makes a switch that forwards from the first packet on: no spanning tree, no forward delay, no snooping, no
// packet filter.
func (n *network) addBridge(name string) error {
	snooping := false
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &snooping}
	if err := n.rack.links.LinkAdd(br); err != nil {
		return fmt.Errorf("make bridge %s: %w", name, err)
	}
	err := n.rack.do(func() error {
		for _, t := range []string{"iptables", "ip6tables", "arptables"} {
			if err := sysctl("bridge/bridge-nf-call-"+t, "0"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return n.rack.up(name)
}

// plug connects an interface of the namespace ns to a bridge by a virtual cable whose other end is called port.
func (n *network) plug(ns *namespace, name string, mac rack.MAC, port, bridge string) error {
	cable := netlink.NewVeth(netlink.LinkAttrs{Name: port})
	cable.PeerName = name
	cable.PeerHardwareAddr = mac.Hardware()
	cable.PeerNamespace = netlink.NsFd(ns.file.Fd())
	if err := n.rack.links.LinkAdd(cable); err != nil {
		return fmt.Errorf("make interface %s: %w", name, err)
	}
	if err := n.join(port, bridge); err != nil {
		return err
	}
	return ns.up(name)
}

// join makes an interface of the rack's namespace a port of a bridge, and sets it up.
func (n *network) join(port, bridge string) error {
	br, err := n.rack.links.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", bridge, err)
	}
	link, err := n.rack.links.LinkByName(port)
	if err == nil {
		err = n.rack.links.LinkSetMaster(link, br)
	}
	if err != nil {
		return fmt.Errorf("join %s to bridge %s: %w", port, bridge, err)
	}
	return n.rack.up(port)
}

// tap makes a network interface on a bridge whose other side is the returned file, for QEMU. The interface goes when
// the last copy of the file is closed.
func (n *network) tap(port, bridge string) (*os.File, error) {
	var tap *os.File
	err := n.rack.do(func() error {
		fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", tunDevice, err)
		}
		tap = os.NewFile(uintptr(fd), tunDevice)
		req, err := unix.NewIfreq(port)
		if err != nil {
			return fmt.Errorf("make tap %s: %w", port, err)
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return fmt.Errorf("make tap %s: %w", port, err)
		}
		return n.join(port, bridge)
	})
	if err != nil {
		if tap != nil {
			tap.Close()
		}
		return nil, err
	}
	return tap, nil
}

// Close lets go of every namespace; the kernel removes what is in them when the last process has left.
func (n *network) Close() error {
	errs := []error{n.mgmt.Close(), n.rack.Close()}
	for _, b := range n.bmcs {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}
