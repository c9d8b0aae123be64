// Package netif asks the kernel about the machine's own network interfaces: their addresses, their neighbours, and
// who has a port; and it listens to who else is on the wire. It adds an address on request; beyond that it changes nothing.
// It owns no goroutine, and all functions may be called concurrently.
package netif

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

// ErrNoInterface is matched when no interface has the name.
var ErrNoInterface = errors.New("no such interface")

// Interface is one network interface.
type Interface struct {
	Name  string
	Index int
	MAC   rack.MAC
	// Up tells that it was switched on, Running that it has a link.
	Up, Running bool
	// Kind is the kernel's: "device" for a NIC, "veth", "bridge", "vlan", "bond", "tuntap", ...
	Kind      string
	MTU       int
	Addresses []netip.Prefix
}

// List gives all interfaces but loopback, by index.
func List() ([]Interface, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []Interface
	for _, l := range links {
		if l.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		ifc, err := describe(l)
		if gone(err) {
			continue // between the two questions
		}
		if err != nil {
			return nil, err
		}
		out = append(out, ifc)
	}
	slices.SortFunc(out, func(a, b Interface) int { return a.Index - b.Index })
	return out, nil
}

// ByName gives one interface; the error matches ErrNoInterface.
func ByName(name string) (Interface, error) {
	l, err := link(name)
	if err != nil {
		return Interface{}, err
	}
	return describe(l)
}

func link(name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); ok || gone(err) {
		return nil, fmt.Errorf("interface %q: %w", name, ErrNoInterface)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	return l, nil
}

func gone(err error) bool { return errors.Is(err, unix.ENODEV) }

func describe(l netlink.Link) (Interface, error) {
	a := l.Attrs()
	out := Interface{
		Name: a.Name, Index: a.Index, MAC: rack.MACFrom(a.HardwareAddr), Kind: l.Type(), MTU: a.MTU,
		Up: a.Flags&net.FlagUp != 0, Running: a.Flags&net.FlagRunning != 0,
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return out, fmt.Errorf("addresses of interface %s: %w", a.Name, err)
	}
	for _, x := range addrs {
		ip, ok := netip.AddrFromSlice(x.IP)
		bits, _ := x.Mask.Size()
		if ok {
			out.Addresses = append(out.Addresses, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	return out, nil
}

// HasAddress tells whether an interface has the address, with any prefix length. The error matches ErrNoInterface.
func HasAddress(iface string, ip netip.Addr) (bool, error) {
	ifc, err := ByName(iface)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(ifc.Addresses, func(p netip.Prefix) bool { return p.Addr() == ip }), nil
}

// AddAddress gives an interface an address and switches it on. To have it already, with the same prefix length, is no
// error. It needs CAP_NET_ADMIN; the error then matches os.ErrPermission. Nothing makes the address survive a reboot.
func AddAddress(iface string, p netip.Prefix) error {
	if !p.IsValid() {
		return fmt.Errorf("interface %s: address %s: not an address with a prefix length", iface, p)
	}
	l, err := link(iface)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(p.String())
	if err != nil {
		return fmt.Errorf("interface %s: address %s: %w", iface, p, err)
	}
	if err := netlink.AddrAdd(l, a); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("interface %s: add address %s: %w", iface, p, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("interface %s: switch on: %w", iface, err)
	}
	return nil
}

// ByMAC gives the interfaces with a MAC, by index; bonds, bridges and VLANs share theirs with a NIC.
func ByMAC(mac rack.MAC) ([]Interface, error) {
	all, err := List()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(i Interface) bool { return i.MAC != mac }), nil
}

// String is the name with the MAC and the addresses, for messages.
func (i Interface) String() string {
	words := []string{i.Name, i.MAC.String()}
	for _, p := range i.Addresses {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}
