// Package netif asks the kernel about the machine's own network interfaces: their addresses, their neighbours, and
// who has a port. It adds an address on request; beyond that it changes nothing. It owns no goroutine.
package netif

import (
	"context"
	"errors"
	"net/netip"

	"github.com/racker-project/racker/pkg/rack"
)

var (
	// ErrNoInterface is matched when no interface has the name.
	ErrNoInterface = errors.New("no such interface")
	// ErrPortInUse is matched by errors of InUse.
	ErrPortInUse = errors.New("port is in use")
)

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
func List() ([]Interface, error) { return nil, errors.ErrUnsupported }

// ByName gives one interface; the error matches ErrNoInterface.
func ByName(name string) (Interface, error) { return Interface{}, errors.ErrUnsupported }

// HasAddress tells whether an interface has the address, with any prefix length.
func HasAddress(iface string, ip netip.Addr) (bool, error) { return false, errors.ErrUnsupported }

// AddAddress gives an interface an address, and switches it on. To have it already is no error.
func AddAddress(iface string, p netip.Prefix) error { return errors.ErrUnsupported }

// Neighbour is an entry of the kernel's ARP table.
type Neighbour struct {
	IP  netip.Addr
	MAC rack.MAC
	// State is the kernel's: "reachable", "stale", "delay", "probe", "permanent", "failed", "incomplete".
	State string
}

// Neighbour finds who answers for ip on an interface. What the kernel has confirmed lately is taken; otherwise a probe
// makes it ask, and the answer is awaited until ctx is done, at most one second. Without an answer MAC is zero.
func FindNeighbour(ctx context.Context, iface string, ip netip.Addr) (Neighbour, error) {
	return Neighbour{}, errors.ErrUnsupported
}

// PortUser names the process that has a port, as "dnsmasq (pid 812)"; empty when there is none or it cannot be told.
// network is "udp" or "tcp".
func PortUser(network string, port int) string { return "" }

// InUse decorates the error of a failed bind with who has the port: if err matches syscall.EADDRINUSE, the result
// matches ErrPortInUse too; any other error comes back as it is.
func InUse(err error, network, addr string) error { return err }
