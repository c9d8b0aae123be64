package vbmc

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// links sets the address of the BMC's interface.
type links struct {
	h    *netlink.Handle
	link netlink.Link
}

// links opens netlink in the BMC's namespace, finds the interface and sets it up.
func (b *BMC) links() (*links, error) {
	ns := netns.None()
	if b.cfg.NetNS != nil {
		ns = netns.NsHandle(b.cfg.NetNS.Fd())
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("virtual BMC %s: open netlink: %w", b.cfg.Name, err)
	}
	link, err := h.LinkByName(b.cfg.Interface)
	if err == nil {
		err = ifaceMAC(b.cfg.Interface, link.Attrs().HardwareAddr, b.cfg.MAC)
	}
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("virtual BMC %s: set up interface %s: %w", b.cfg.Name, b.cfg.Interface, err)
	}
	return &links{h: h, link: link}, nil
}

func (l *links) close() { l.h.Close() }

// set adds the address and the default route.
func (l *links) set(to lan) error {
	addr := &netlink.Addr{IPNet: ipNet(to.address)}
	if err := l.h.AddrReplace(l.link, addr); err != nil {
		return fmt.Errorf("set address %s on %s: %w", to.address, l.link.Attrs().Name, err)
	}
	if !to.gateway.IsValid() {
		return nil
	}
	route := &netlink.Route{LinkIndex: l.link.Attrs().Index, Gw: to.gateway.AsSlice()}
	if err := l.h.RouteReplace(route); err != nil {
		return fmt.Errorf("set default route over %s on %s: %w", to.gateway, l.link.Attrs().Name, err)
	}
	return nil
}

// clear takes the address back; its routes go with it.
func (l *links) clear(from lan) error {
	if err := l.h.AddrDel(l.link, &netlink.Addr{IPNet: ipNet(from.address)}); err != nil {
		return fmt.Errorf("remove address %s from %s: %w", from.address, l.link.Attrs().Name, err)
	}
	return nil
}

// ipNet is p as netlink wants it.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
