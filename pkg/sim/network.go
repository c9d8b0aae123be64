package sim

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/racker-project/racker/pkg/rack"
)

// Names inside the rack's namespaces. They are the same in every rack, since no two racks share a namespace.
const (
	BridgeInternal = "internal"
	BridgePublic   = "public"
	// InternalInterface is the management node's NIC on the internal network; it has the row's secondary MAC.
	InternalInterface = "internal0"
	// PublicInterface is the management node's NIC on the public network; it has the row's primary MAC.
	PublicInterface = "public0"
	// bmcInterface is the NIC of a virtual BMC in its own namespace.
	bmcInterface = "bmc0"
)

// Network is the cabling of a rack: a namespace for its switches, one for the management node, and one per BMC.
type Network struct {
	Switches   *Namespace // with the bridges BridgeInternal and BridgePublic
	Management *Namespace
	bmcs       map[string]*Namespace // by node name
	mtu        int
}

// NewNetwork makes the switches and connects the management node and the BMC of each server. mtu is that of the switches and
// their ports.
func NewNetwork(mgmt *rack.Node, servers []*rack.Node, mtu int) (*Network, error) {
	n := &Network{bmcs: map[string]*Namespace{}, mtu: mtu}
	if err := n.build(mgmt, servers); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Network) build(mgmt *rack.Node, servers []*rack.Node) error {
	var err error
	if n.Switches, err = NewNamespace(false); err != nil {
		return err
	}
	for _, name := range []string{BridgeInternal, BridgePublic} {
		if err := n.addBridge(name); err != nil {
			return err
		}
	}
	if n.Management, err = NewNamespace(true); err != nil {
		return err
	}
	if err := n.Plug(n.Management, InternalInterface, mgmt.Secondary, "mgmt-int", BridgeInternal); err != nil {
		return err
	}
	if err := n.Plug(n.Management, PublicInterface, mgmt.Primary, "mgmt-pub", BridgePublic); err != nil {
		return err
	}
	for i, s := range servers {
		if s.BMC.IsZero() {
			continue
		}
		ns, err := NewNamespace(false)
		if err != nil {
			return err
		}
		n.bmcs[s.Name] = ns
		if err := n.Plug(ns, bmcInterface, s.BMC, fmt.Sprintf("bmc%d", i+1), BridgeInternal); err != nil {
			return fmt.Errorf("BMC of %s: %w", s.Name, err)
		}
	}
	return nil
}

// addBridge makes a switch that forwards from the first packet on: no spanning tree, no forward delay, no snooping, no
// packet filter.
func (n *Network) addBridge(name string) error {
	snooping := false
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: n.mtu}, MulticastSnooping: &snooping}
	if err := n.Switches.links.LinkAdd(br); err != nil {
		return fmt.Errorf("make bridge %s: %w", name, err)
	}
	err := n.Switches.Do(func() error {
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
	return n.Switches.Up(name)
}

// Plug connects an interface of the namespace ns to a bridge by a virtual cable whose other end is called port.
func (n *Network) Plug(ns *Namespace, name string, mac rack.MAC, port, bridge string) error {
	cable := netlink.NewVeth(netlink.LinkAttrs{Name: port, MTU: n.mtu})
	cable.PeerName = name
	cable.PeerHardwareAddr = mac.Hardware()
	cable.PeerNamespace = netlink.NsFd(ns.file.Fd())
	if err := n.Switches.links.LinkAdd(cable); err != nil {
		return fmt.Errorf("make interface %s: %w", name, err)
	}
	if err := n.join(port, bridge); err != nil {
		return err
	}
	return ns.Up(name)
}

// join makes an interface of the rack's namespace a port of a bridge, and sets it up.
func (n *Network) join(port, bridge string) error {
	br, err := n.Switches.links.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", bridge, err)
	}
	link, err := n.Switches.links.LinkByName(port)
	if err == nil {
		err = n.Switches.links.LinkSetMTU(link, n.mtu)
	}
	if err == nil {
		err = n.Switches.links.LinkSetMaster(link, br)
	}
	if err != nil {
		return fmt.Errorf("join %s to bridge %s: %w", port, bridge, err)
	}
	return n.Switches.Up(port)
}

// Tap makes a network interface on a bridge whose other side is the returned file. The interface goes when the last copy
// of the file is closed.
func (n *Network) Tap(port, bridge string) (*os.File, error) {
	tap, err := n.Switches.Tap(port)
	if err != nil {
		return nil, err
	}
	if err := n.join(port, bridge); err != nil {
		tap.Close()
		return nil, err
	}
	return tap, nil
}

// Close lets go of every namespace; the kernel removes what is in them when the last process has left.
func (n *Network) Close() error {
	errs := []error{n.Management.Close(), n.Switches.Close()}
	for _, b := range n.bmcs {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}
