package dhcpd

import (
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// request answers a REQUEST in each of the client's states (RFC 2131 4.3.2): SELECTING (with our server identifier and
// option 50), INIT-REBOOT (option 50 alone), RENEWING and REBINDING (ciaddr alone).
//
// NAK is for clients that are ours: reservations, holders of a pool lease, and those that name this server. All others
// may belong to a server that we do not see, and get silence.
func (x *exchange) request() *exchange {
	want := addr(x.in.RequestedIPAddress())
	if !want.IsValid() {
		want = addr(x.in.ClientIPAddr)
	}
	switch {
	case !x.forUs():
		x.s.pool.withdraw(x.mac, x.at)
		x.seen.IP = want
		return x.ignore("chose another server")
	case !want.IsValid():
		return x.ignore("REQUEST without an address")
	case x.seen.Known:
		return x.requestReserved(want)
	}
	return x.requestPool(want)
}

func (x *exchange) requestReserved(want netip.Addr) *exchange {
	switch {
	case !x.res.IP.Is4():
		return x.ignore("known, but it has no address here")
	case want != x.res.IP:
		return x.nak(want, fmt.Sprintf("%s is not the address of this machine, %s is", want, x.res.IP))
	}
	// A machine that was unknown until lately gives its pool address back by taking its own.
	if gone, saved := x.s.pool.release(x.mac, netip.Addr{}, x.at); saved {
		x.save = append(x.save, gone)
	}
	x.ack(want)
	x.s.reserved.begin(LeaseInfo{
		MAC: x.mac, IP: want, HostName: x.res.HostName, Reserved: true, Expires: x.at.Add(x.s.cfg.ReservedLease),
	})
	return x
}

func (x *exchange) requestPool(want netip.Addr) *exchange {
	if reason := x.stranger(); reason != "" {
		return x.ignore(reason)
	}
	selected := addr(x.in.ServerIdentifier()).IsValid()
	lease, c := x.s.pool.take(x.mac, want, x.seen.HostName, selected, x.at)
	switch c {
	case claimRefused:
		return x.nak(want, fmt.Sprintf("%s is not leased to this machine", want))
	case claimUnheard:
		x.seen.IP = want
		return x.ignore("asks for an address that this server did not lease")
	}
	x.save = append(x.save, lease)
	x.ack(want)
	return x
}

func (x *exchange) ack(ip netip.Addr) {
	x.start(dhcpv4.MessageTypeAck, ip)
	if addr(x.in.ClientIPAddr) == ip { // the reply goes there: never to an address that is only claimed
		x.out.ClientIPAddr = x.in.ClientIPAddr
	}
	x.leaseTimes()
	x.bootOptions()
	x.bootGiven()
}

// nak refuses an address. A relay agent must broadcast it, since the client cannot be reached at an address that is
// wrong (RFC 2131 4.3.2).
func (x *exchange) nak(ip netip.Addr, why string) *exchange {
	x.start(dhcpv4.MessageTypeNak, netip.Addr{})
	x.seen.IP = ip
	x.out.UpdateOption(dhcpv4.OptMessage(why))
	if x.relay.IsValid() {
		x.out.SetBroadcast()
	}
	return x
}
