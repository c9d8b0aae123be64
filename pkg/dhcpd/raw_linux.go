package dhcpd

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	ipHeader  = 20
	udpHeader = 8
	ttl       = 64
)

// sendRaw sends a UDP datagram to a hardware address without asking ARP for it.
func (s *socket) sendRaw(payload []byte, to netip.Addr, mac rack.MAC, iface int) error {
	if s.raw < 0 || !to.IsValid() {
		return errNoRaw
	}
	ll := &unix.SockaddrLinklayer{Protocol: ethIP, Ifindex: iface, Halen: uint8(len(mac))}
	copy(ll.Addr[:], mac[:])
	b := datagram(payload, netip.AddrPortFrom(s.server, uint16(s.port)), netip.AddrPortFrom(to, uint16(s.port+1)))
	return unix.Sendto(s.raw, b, 0, ll)
}

// ethIP is the EtherType of IPv4 in network byte order, as the kernel wants it on a little-endian machine; all
// machines that racker runs on are.
const ethIP = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8

// datagram makes an IPv4 packet (RFC 791) with a UDP datagram (RFC 768).
func datagram(payload []byte, from, to netip.AddrPort) []byte {
	n := ipHeader + udpHeader + len(payload)
	b := make([]byte, n)
	src, dst := from.Addr().As4(), to.Addr().As4()

	b[0] = 0x45 // version 4, five words
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	b[8] = ttl
	b[9] = unix.IPPROTO_UDP
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], fold(sum(0, b[:ipHeader])))

	u := b[ipHeader:]
	binary.BigEndian.PutUint16(u, from.Port())
	binary.BigEndian.PutUint16(u[2:], to.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	copy(u[udpHeader:], payload)
	// The pseudo header: both addresses, the protocol, the length.
	c := sum(uint32(unix.IPPROTO_UDP)+uint32(len(u)), b[12:ipHeader])
	check := fold(sum(c, u))
	if check == 0 {
		check = 0xffff // zero would say "no checksum"
	}
	binary.BigEndian.PutUint16(u[6:], check)
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
