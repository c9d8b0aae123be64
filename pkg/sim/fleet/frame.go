package fleet

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

// Sizes and fields of frames: Ethernet II, IPv4 (RFC 791), UDP (RFC 768), ARP (RFC 826), ICMPv6 (RFC 4443).
const (
	etherSize = 14
	ipSize    = 20
	udpSize   = 8
	arpSize   = 28
	ip6Size   = 40
	solicSize = 16

	ttl = 64

	arpRequest = 1
	arpReply   = 2
)

// broadcast is the MAC of everybody.
func broadcast() rack.MAC { return rack.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// ether begins a frame.
func ether(to, from rack.MAC, kind uint16, room int) []byte {
	b := make([]byte, 0, etherSize+room)
	b = append(append(b, to[:]...), from[:]...)
	return binary.BigEndian.AppendUint16(b, kind)
}

// etherType gives the type of a frame, 0 when it is too short.
func etherType(b []byte) uint16 {
	if len(b) < etherSize {
		return 0
	}
	return binary.BigEndian.Uint16(b[12:])
}

// arp is an ARP packet for IPv4 over Ethernet.
type arp struct {
	op         uint16
	from, to   rack.MAC
	fromIP, ip netip.Addr
}

// parseARP reads the ARP packet of a frame.
func parseARP(b []byte) (arp, bool) {
	if len(b) < etherSize+arpSize {
		return arp{}, false
	}
	b = b[etherSize:]
	if binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP || b[4] != 6 || b[5] != 4 {
		return arp{}, false
	}
	return arp{
		op: binary.BigEndian.Uint16(b[6:]), from: rack.MAC(b[8:14]), fromIP: netip.AddrFrom4([4]byte(b[14:18])),
		to: rack.MAC(b[18:24]), ip: netip.AddrFrom4([4]byte(b[24:28])),
	}, true
}

// frame gives the packet as a frame; a request goes to everybody.
func (a arp) frame() []byte {
	to := a.to
	if a.op == arpRequest {
		to = broadcast()
	}
	b := ether(to, a.from, unix.ETH_P_ARP, arpSize)
	b = append(b, 0, 1, 8, 0, 6, 4)
	b = binary.BigEndian.AppendUint16(b, a.op)
	b = append(append(b, a.from[:]...), a.fromIP.AsSlice()...)
	return append(append(b, a.to[:]...), a.ip.AsSlice()...)
}

// datagram is a UDP datagram in a frame.
type datagram struct {
	from, to       rack.MAC
	fromIP, toIP   netip.Addr
	fromPort, port uint16
	payload        []byte
}

// frame gives the datagram as a frame.
func (d datagram) frame() []byte {
	n := ipSize + udpSize + len(d.payload)
	b := ether(d.to, d.from, unix.ETH_P_IP, n)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, 0, 0, 0, 0, ttl, unix.IPPROTO_UDP, 0, 0)
	b = append(append(b, d.fromIP.AsSlice()...), d.toIP.AsSlice()...)
	binary.BigEndian.PutUint16(b[etherSize+10:], fold(sum(0, b[etherSize:])))
	b = binary.BigEndian.AppendUint16(b, d.fromPort)
	b = binary.BigEndian.AppendUint16(b, d.port)
	b = binary.BigEndian.AppendUint16(b, uint16(udpSize+len(d.payload)))
	b = append(append(b, 0, 0), d.payload...)
	// The pseudo header: both addresses, the protocol, the length. Zero would say "no checksum".
	udp := b[etherSize+ipSize:]
	check := fold(sum(sum(uint32(unix.IPPROTO_UDP)+uint32(len(udp)), b[etherSize+12:etherSize+ipSize]), udp))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return b
}

// parseDatagram reads the UDP datagram of a frame that is no fragment. Checksums are not looked at: a frame that came
// over a tap may not have them yet.
func parseDatagram(b []byte) (datagram, bool) {
	if etherType(b) != unix.ETH_P_IP || len(b) < etherSize+ipSize+udpSize {
		return datagram{}, false
	}
	ip := b[etherSize:]
	head := int(ip[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	fragment := binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 // more fragments, or an offset
	if ip[0]>>4 != 4 || head < ipSize || total > len(ip) || total < head+udpSize || fragment || ip[9] != unix.IPPROTO_UDP {
		return datagram{}, false
	}
	udp := ip[head:total]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if length < udpSize || length > len(udp) {
		return datagram{}, false
	}
	return datagram{
		to: rack.MAC(b[:6]), from: rack.MAC(b[6:12]),
		fromIP: netip.AddrFrom4([4]byte(ip[12:16])), toIP: netip.AddrFrom4([4]byte(ip[16:20])),
		fromPort: binary.BigEndian.Uint16(udp), port: binary.BigEndian.Uint16(udp[2:]), payload: udp[udpSize:length],
	}, true
}

// solicitation is the router solicitation (RFC 4861 4.1) by which iPXE, or any system, looks for IPv6 routers.
func solicitation(mac rack.MAC) []byte {
	const allRouters = "\xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"
	from := [16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	b := ether(rack.MAC{0x33, 0x33, 0, 0, 0, 2}, mac, unix.ETH_P_IPV6, ip6Size+solicSize)
	b = append(b, 0x60, 0, 0, 0, 0, solicSize, unix.IPPROTO_ICMPV6, 255)
	b = append(append(b, from[:]...), allRouters...)
	b = append(b, 133, 0, 0, 0, 0, 0, 0, 0, 1, 1)
	b = append(b, mac[:]...)
	icmp := b[etherSize+ip6Size:]
	pseudo := sum(uint32(unix.IPPROTO_ICMPV6)+solicSize, b[etherSize+8:etherSize+ip6Size])
	binary.BigEndian.PutUint16(icmp[2:], fold(sum(pseudo, icmp)))
	return b
}

// sum adds 16-bit words in one's complement, carries kept above (RFC 1071).
func sum(acc uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	return acc
}

func fold(acc uint32) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return ^uint16(acc)
}
