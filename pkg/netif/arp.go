package netif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

// askARP broadcasts an ARP request (RFC 826) from the interface's own address. The kernel takes the answer into its
// table. It needs CAP_NET_RAW.
func askARP(l netlink.Link, ip netip.Addr) error {
	if !ip.Is4() {
		return fmt.Errorf("%s: %w", ip, errors.ErrUnsupported)
	}
	own, err := sourceFor(l, ip)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("raw socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	to := &unix.SockaddrLinklayer{
		// The kernel wants the EtherType in network byte order.
		Protocol: unix.ETH_P_ARP>>8 | unix.ETH_P_ARP&0xff<<8,
		Ifindex:  l.Attrs().Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255},
	}
	if err := unix.Sendto(fd, arpRequest(rack.MACFrom(l.Attrs().HardwareAddr), own, ip), 0, to); err != nil {
		return fmt.Errorf("send ARP request: %w", err)
	}
	return nil
}

func arpRequest(mac rack.MAC, own, ip netip.Addr) []byte {
	b := make([]byte, 0, 28)
	b = binary.BigEndian.AppendUint16(b, 1) // Ethernet
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	b = append(b, 6, 4)
	b = binary.BigEndian.AppendUint16(b, 1) // request
	b = append(b, mac[:]...)
	b = append(b, own.AsSlice()...)
	b = append(b, make([]byte, 6)...)
	return append(b, ip.AsSlice()...)
}

// sourceFor chooses the interface's address in the network of ip.
func sourceFor(l netlink.Link, ip netip.Addr) (netip.Addr, error) {
	ifc, err := describe(l)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, p := range ifc.Addresses {
		if p.Contains(ip) {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("interface %s: no address in the network of %s", ifc.Name, ip)
}

// bindTo keeps a socket to one interface.
func bindTo(iface string) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), iface) })
		return errors.Join(ctl, err)
	}
}
