package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
)

// Classes by which a DHCP server tells the agent from firmware and from an installed system (options 60 and 77).
const (
	vendorClass = "racker-agent"
	userClass   = "racker"
)

// defaultLease is taken when a server names no time; minRenewal keeps a very short lease from a tight loop.
const (
	defaultLease = time.Hour
	minRenewal   = 15 * time.Second
)

// leaseholder gets an address for one link and keeps it.
type leaseholder struct {
	link  netlink.Link
	log   *slog.Logger
	retry pace
	least time.Duration // no renewal comes earlier
	lease *nclient4.Lease
	addr  *netlink.Addr
}

// acquire asks until it has an address. The client listens only while it asks: its socket would copy every packet of an
// image, too.
func (h *leaseholder) acquire(ctx context.Context) error {
	for try := 0; ; try++ {
		err := h.exchange(ctx, func(c *nclient4.Client) (*nclient4.Lease, error) {
			return c.Request(ctx, h.options()...)
		})
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		h.log.Warn("no DHCP answer, trying again", "iface", h.link.Attrs().Name, "err", err)
		if err := h.retry.wait(ctx, try); err != nil {
			return err
		}
	}
}

// options of each request: who asks, and what for.
func (h *leaseholder) options() []dhcpv4.Modifier {
	return []dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier(vendorClass)),
		dhcpv4.WithOption(dhcpv4.OptUserClass(userClass)),
	}
}

// exchange runs one DHCP exchange and takes what it gives.
func (h *leaseholder) exchange(ctx context.Context, ask func(*nclient4.Client) (*nclient4.Lease, error)) error {
	at := h.link.Attrs()
	c, err := nclient4.New(at.Name, nclient4.WithTimeout(2*time.Second), nclient4.WithRetry(3))
	if err != nil {
		return fmt.Errorf("DHCP on %s: %w", at.Name, err)
	}
	lease, err := ask(c)
	if err := errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("DHCP on %s: %w", at.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.take(lease)
}

// take sets the address, and the default route where the server names a router.
func (h *leaseholder) take(lease *nclient4.Lease) error {
	ack, name := lease.ACK, h.link.Attrs().Name
	mask := ack.SubnetMask()
	if ones, bits := mask.Size(); ones == 0 || bits != 32 {
		mask = ack.YourIPAddr.DefaultMask() // RFC 950: a server that names none means the class's
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ack.YourIPAddr, Mask: mask}}
	if ack.YourIPAddr.To4() == nil || ack.YourIPAddr.IsUnspecified() {
		return fmt.Errorf("DHCP on %s: the server gave no address", name)
	}
	// The old address goes first: removing it later would take one of the same network along.
	if h.addr != nil && !h.addr.IP.Equal(addr.IP) {
		if err := netlink.AddrDel(h.link, h.addr); err != nil {
			h.log.Warn("remove the old address", "iface", name, "ip", h.addr.IP.String(), "err", err)
		}
	}
	if err := netlink.AddrReplace(h.link, addr); err != nil {
		return fmt.Errorf("set %s on %s: %w", addr.IPNet, name, err)
	}
	if routers := ack.Router(); len(routers) > 0 && !routers[0].IsUnspecified() {
		route := &netlink.Route{LinkIndex: h.link.Attrs().Index, Gw: routers[0]}
		if err := netlink.RouteReplace(route); err != nil {
			h.log.Warn("set the default route", "iface", name, "ip", routers[0].String(), "err", err)
		}
	}
	if h.addr == nil || !h.addr.IP.Equal(addr.IP) {
		h.log.Info("address", "iface", name, "ip", addr.IPNet.String(), "dur", ack.IPAddressLeaseTime(defaultLease).String())
	}
	h.lease, h.addr = lease, addr
	return nil
}

// keep renews the lease at T1 (RFC 2131 4.4.5) until ctx is done. A server that does not know the lease any more is asked
// for a new one.
func (h *leaseholder) keep(ctx context.Context) {
	for {
		d := max(h.least, renewal(h.lease.ACK))
		if (pace{First: d, Most: d}).wait(ctx, 0) != nil {
			return
		}
		err := h.exchange(ctx, func(c *nclient4.Client) (*nclient4.Lease, error) {
			return c.Renew(ctx, h.lease, h.options()...)
		})
		if err == nil {
			continue
		}
		h.log.Warn("lease was not renewed, asking anew", "iface", h.link.Attrs().Name, "err", err)
		if h.acquire(ctx) != nil {
			return
		}
	}
}

// renewal is when to renew, from now on: T1, or half of the lease.
func renewal(ack *dhcpv4.DHCPv4) time.Duration {
	return ack.IPAddressRenewalTime(ack.IPAddressLeaseTime(defaultLease) / 2)
}
