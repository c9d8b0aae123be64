package dhcpd

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
)

// meta is what the socket knows of a packet.
type meta struct {
	at time.Time
}

// exchange is one packet on its way to a reply.
type exchange struct {
	s     *Server
	in    *dhcpv4.DHCPv4
	at    time.Time
	mac   rack.MAC
	res   Reservation
	relay netip.Addr // invalid without a relay agent

	out  *dhcpv4.DHCPv4 // nil is silence
	seen Seen
	save []Lease // to be saved before out is sent
}

// reply decides on a packet. It touches the pool in memory and nothing else; sending and saving are the caller's.
func (s *Server) reply(in *dhcpv4.DHCPv4, m meta) *exchange {
	x := &exchange{s: s, in: in, at: m.at, mac: rack.MACFrom(in.ClientHWAddr)}
	x.seen = Seen{MAC: x.mac, XID: in.TransactionID.String(), Type: in.MessageType(), HostName: cleanHostName(in.HostName())}
	if reason := x.unfit(); reason != "" {
		return x.ignore(reason)
	}
	x.seen.Client = pxe.Parse(in)
	x.res, x.seen.Known = s.dir.Lookup(x.mac)
	if relay := addr(in.GatewayIPAddr); relay.IsValid() {
		x.relay, x.seen.Relay = relay, relay
	}
	x.firmwareStarts()
	switch in.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return x.discover()
	case dhcpv4.MessageTypeRequest:
		return x.request()
	case dhcpv4.MessageTypeDecline:
		return x.decline()
	case dhcpv4.MessageTypeRelease:
		return x.release()
	case dhcpv4.MessageTypeInform:
		return x.inform()
	}
	return x.ignore("no message of a client")
}

// unfit names the reason why a packet deserves no look at its contents.
func (x *exchange) unfit() string {
	relay := addr(x.in.GatewayIPAddr)
	switch {
	case x.in.OpCode != dhcpv4.OpcodeBootRequest:
		return "not a request"
	case x.in.HWType != iana.HWTypeEthernet || x.mac.IsZero() || x.mac[0]&1 == 1:
		return "no Ethernet address of a NIC"
	case relay.IsValid() && (relay == x.s.cfg.Server || !relay.IsGlobalUnicast()):
		return "a relay agent's address that cannot be one"
	case x.in.HopCount > 16:
		return "more than 16 hops"
	}
	return ""
}

func (x *exchange) ignore(reason string) *exchange {
	x.out, x.seen.Ignored = nil, reason
	return x
}

// discover answers a DISCOVER (RFC 2131 4.3.1).
func (x *exchange) discover() *exchange {
	ip, reason := x.address()
	if reason != "" {
		return x.ignore(reason)
	}
	x.start(dhcpv4.MessageTypeOffer, ip)
	x.leaseTimes()
	x.bootOptions()
	return x
}

// address finds what a DISCOVER is offered, or the reason for silence.
func (x *exchange) address() (netip.Addr, string) {
	if x.seen.Known {
		if !x.res.IP.Is4() {
			return netip.Addr{}, "known, but it has no address here"
		}
		return x.res.IP, ""
	}
	if reason := x.stranger(); reason != "" {
		return netip.Addr{}, reason
	}
	ip, ok := x.s.pool.offer(x.mac, addr(x.in.RequestedIPAddress()), x.at)
	if !ok {
		x.seen.Problem = "the pool has no free address"
		return netip.Addr{}, "pool is full"
	}
	return ip, ""
}

// stranger names the reason why a machine without a reservation gets nothing.
func (x *exchange) stranger() string {
	switch {
	case x.seen.Client.Netboot():
		return "unknown machine asks for a boot program"
	case !x.s.pool.enabled():
		return "unknown machine, and there is no pool"
	case x.relay.IsValid() && !x.s.cfg.Prefix.Contains(x.relay):
		return "unknown machine behind a relay agent of another network"
	}
	return ""
}

// decline hears that an address is in use by somebody else (RFC 2131 4.3.3).
func (x *exchange) decline() *exchange {
	x.seen.IP = addr(x.in.RequestedIPAddress())
	if !x.forUs() {
		return x.ignore("for another server")
	}
	if x.seen.Known {
		x.seen.Problem = fmt.Sprintf("it declined its address %s: another machine answers for it", x.seen.IP)
		return x
	}
	bad, ok := x.s.pool.decline(x.mac, x.seen.IP, x.at)
	if !ok {
		return x.ignore("declines an address that it was not given")
	}
	x.seen.Problem = fmt.Sprintf("pool address %s is in use by a machine that did not get it from racker", bad.IP)
	x.save = append(x.save, bad)
	return x
}

// release ends a lease (RFC 2131 4.3.4); there is no reply to it.
func (x *exchange) release() *exchange {
	x.seen.IP = addr(x.in.ClientIPAddr)
	if !x.forUs() {
		return x.ignore("for another server")
	}
	if x.seen.Known && x.seen.IP == x.res.IP {
		x.s.reserved.end(x.mac)
		return x
	}
	gone, saved := x.s.pool.release(x.mac, x.seen.IP, x.at)
	if saved {
		x.save = append(x.save, gone)
	}
	return x
}

// inform gives parameters without an address (RFC 2131 4.3.5).
func (x *exchange) inform() *exchange {
	ip := addr(x.in.ClientIPAddr)
	switch {
	case !ip.IsValid():
		return x.ignore("INFORM without an address")
	case !x.relay.IsValid() && !x.s.cfg.Prefix.Contains(ip):
		return x.ignore("INFORM from another network")
	case !x.seen.Known && x.seen.Client.Netboot():
		return x.ignore("unknown machine asks for a boot program")
	}
	x.start(dhcpv4.MessageTypeAck, netip.Addr{})
	x.out.ClientIPAddr = x.in.ClientIPAddr
	x.seen.IP = ip
	x.bootOptions()
	return x
}

// forUs tells whether the server identifier, if there is one, is ours.
func (x *exchange) forUs() bool {
	id := addr(x.in.ServerIdentifier())
	return !id.IsValid() || id == x.s.cfg.Server
}

// start makes a reply with what every reply has (RFC 2131 table 3, RFC 3046 2.2, RFC 6842). ip is yiaddr.
func (x *exchange) start(t dhcpv4.MessageType, ip netip.Addr) {
	in := x.in
	x.out = &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: in.HWType, TransactionID: in.TransactionID, Flags: in.Flags,
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero,
		GatewayIPAddr: in.GatewayIPAddr, ClientHWAddr: in.ClientHWAddr, Options: dhcpv4.Options{},
	}
	if ip.IsValid() {
		x.out.YourIPAddr = ip.AsSlice()
	}
	x.seen.Reply, x.seen.IP = t, ip
	x.out.UpdateOption(dhcpv4.OptMessageType(t))
	x.out.UpdateOption(dhcpv4.OptServerIdentifier(x.s.cfg.Server.AsSlice()))
	for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionClientIdentifier, dhcpv4.OptionRelayAgentInformation} {
		if v := in.Options.Get(code); len(v) > 0 && len(v) <= 255 {
			x.out.UpdateOption(dhcpv4.OptGeneric(code, v))
		}
	}
	if t == dhcpv4.MessageTypeNak {
		return
	}
	x.out.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(x.s.cfg.Prefix.Bits(), 32)))
	if x.res.HostName != "" {
		x.out.UpdateOption(dhcpv4.OptHostName(x.res.HostName))
	}
}

// leaseTimes adds options 51, 58 (T1, half of it) and 59 (T2, seven eighths: RFC 2131 4.4.5).
func (x *exchange) leaseTimes() {
	d := x.s.cfg.PoolLease
	if x.seen.Known {
		d = x.s.cfg.ReservedLease
	}
	x.out.UpdateOption(dhcpv4.OptIPAddressLeaseTime(d))
	x.out.UpdateOption(dhcpv4.OptRenewTimeValue(d / 2))
	x.out.UpdateOption(dhcpv4.OptRebindingTimeValue(d * 7 / 8))
}

// addr turns an address of the codec into one that compares; 0.0.0.0 and what is no IPv4 address become invalid.
func addr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
