package vbmc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/racker-project/racker/pkg/rack"
)

// Times of the DHCP client, RFC 2131 section 4.1 and 4.4.5.
const (
	firstWait    = time.Second     // for an answer, and before the second DISCOVER
	longestWait  = 8 * time.Second // before a further DISCOVER; a rack's server comes and goes
	shortRenewal = 5 * time.Second // between two attempts to renew, at least
)

// binding is a lease that the client holds.
type binding struct {
	lease *nclient4.Lease
	lan   lan
	began time.Time
	t1    time.Duration
	t2    time.Duration
	ends  time.Duration
}

// lease gets an address and keeps it, until ctx is done. There is no giving up: the DHCP server may start long after the BMC.
func (b *BMC) lease(ctx context.Context) error {
	links, err := b.links()
	if err != nil {
		return err
	}
	defer links.close()
	wait := firstWait
	for ctx.Err() == nil {
		held, err := b.acquire(ctx)
		if err != nil {
			b.log.Debug("no address yet", "err", err, "iface", b.cfg.Interface)
			rest(ctx, wait/2+rand.N(wait))
			wait = min(wait*2, longestWait)
			continue
		}
		wait = firstWait
		if err := links.set(held.lan); err != nil {
			return err
		}
		b.setLAN(held.lan, Port)
		b.log.Info("address leased", "ip", held.lan.address, "mac", b.cfg.MAC, "dur", held.ends)
		b.hold(ctx, held)
		b.setLAN(lan{}, 0)
		if err := links.clear(held.lan); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return ctx.Err()
}

// acquire goes from DISCOVER to ACK once.
func (b *BMC) acquire(ctx context.Context) (*binding, error) {
	c, err := b.dhcp()
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // nothing was left to send
	lease, err := c.Request(ctx, b.options()...)
	if err != nil {
		return nil, err
	}
	return bind(lease)
}

// hold renews the lease at T1, rebinds at T2, and returns when it ran out, was refused, or ctx is done.
func (b *BMC) hold(ctx context.Context, held *binding) {
	for {
		at := held.t1
		if passed := time.Since(held.began); passed > at {
			until := held.t2
			if passed >= held.t2 {
				until = held.ends
			}
			at = passed + max((until-passed)/2, shortRenewal)
		}
		rest(ctx, time.Until(held.began.Add(min(at, held.ends))))
		passed := time.Since(held.began)
		if ctx.Err() != nil || passed >= held.ends {
			return
		}
		renewed, err := b.renew(ctx, held, passed < held.t2)
		var nak *nclient4.ErrNak
		switch {
		case errors.As(err, &nak):
			b.log.Info("lease refused", "ip", held.lan.address, "err", err)
			return
		case err != nil:
			b.log.Debug("lease not renewed", "ip", held.lan.address, "err", err)
		case renewed.lan != held.lan:
			b.log.Info("lease changed", "ip", renewed.lan.address)
			return
		default:
			*held = *renewed
		}
	}
}

// renew asks the server that gave the lease, or in REBINDING any, to extend it.
func (b *BMC) renew(ctx context.Context, held *binding, unicast bool) (*binding, error) {
	var opts []nclient4.ClientOpt
	if server := held.lease.ACK.ServerIdentifier(); unicast && server != nil {
		opts = []nclient4.ClientOpt{
			nclient4.WithServerAddr(&net.UDPAddr{IP: server, Port: nclient4.ServerPort}),
			nclient4.WithUnicast(&net.UDPAddr{IP: held.lease.ACK.YourIPAddr, Port: nclient4.ClientPort}),
		}
	}
	c, err := b.dhcp(opts...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // nothing was left to send
	lease, err := c.Renew(ctx, held.lease, b.options()...)
	if err != nil {
		return nil, err
	}
	return bind(lease)
}

// dhcp opens a client in the BMC's namespace. It lives for one exchange only: its socket hears all of the network's broadcasts.
func (b *BMC) dhcp(opts ...nclient4.ClientOpt) (*nclient4.Client, error) {
	opts = append([]nclient4.ClientOpt{
		nclient4.WithHWAddr(b.cfg.MAC.Hardware()), nclient4.WithTimeout(firstWait), nclient4.WithRetry(2),
	}, opts...)
	var c *nclient4.Client
	err := within(b.cfg.NetNS, func() (err error) {
		c, err = nclient4.New(b.cfg.Interface, opts...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open DHCP socket on %s: %w", b.cfg.Interface, err)
	}
	return c, nil
}

// options is what a BMC sends along.
func (b *BMC) options() []dhcpv4.Modifier {
	return []dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptHostName(b.cfg.Name)),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter),
	}
}

// bind reads an ACK.
func bind(lease *nclient4.Lease) (*binding, error) {
	ack := lease.ACK
	addr, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || addr.IsUnspecified() {
		return nil, fmt.Errorf("ACK of %s has no address", ack.ServerIdentifier())
	}
	ones, _ := ack.SubnetMask().Size()
	if ones == 0 {
		ones, _ = net.IP(addr.AsSlice()).DefaultMask().Size()
	}
	held := &binding{lease: lease, began: lease.CreationTime, ends: ack.IPAddressLeaseTime(time.Hour)}
	held.lan = lan{address: netip.PrefixFrom(addr, ones), dhcp: true}
	if routers := ack.Router(); len(routers) > 0 {
		held.lan.gateway, _ = netip.AddrFromSlice(routers[0].To4())
	}
	held.ends = max(held.ends, 2*time.Second)
	held.t1 = ack.IPAddressRenewalTime(held.ends / 2)
	held.t2 = ack.IPAddressRebindingTime(held.ends * 7 / 8)
	if held.t1 <= 0 || held.t1 >= held.t2 || held.t2 >= held.ends { // RFC 2131 4.4.5: T1 < T2 < lease
		held.t1, held.t2 = held.ends/2, held.ends*7/8
	}
	return held, nil
}

// rest waits for d or for ctx.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ifaceMAC refuses an interface with another MAC, whose answers would never come back.
func ifaceMAC(name string, has net.HardwareAddr, want rack.MAC) error {
	if rack.MACFrom(has) != want {
		return fmt.Errorf("interface %s has MAC %s, want %s", name, has, want)
	}
	return nil
}
