package netif

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	// frameSnap is how much of a frame is looked at: two tags, the longest IPv4 header and the ports of UDP.
	frameSnap = 128

	etherHeader = 14
	tagSize     = 4
	vlanBits    = 0xfff // of a tag; the rest is priority

	slowProtocolLACP = 1 // subtype of EtherType 8809 (IEEE 802.3 57A.4)
	portDHCPServer   = 67
	packetOutgoing   = 4 // PACKET_OUTGOING of packet(7)
)

// frameFilter accepts, in the kernel, frames of others that go to everybody or to a group, or have a VLAN tag.
func frameFilter(own rack.MAC) ([]unix.SockFilter, error) {
	prog := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: packetOutgoing, SkipTrue: 11},
		bpf.LoadAbsolute{Off: 8, Size: 4}, // the source address but for its first two bytes
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(own[2:]), SkipTrue: 2},
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(own[:])), SkipTrue: 7},
		bpf.LoadAbsolute{Off: 0, Size: 1}, // the lowest bit of the destination's first byte: a group
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipTrue: 6},
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021Q, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021AD, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: frameSnap},
	}
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return nil, fmt.Errorf("frame filter: %w", err)
	}
	out := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		out[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return out, nil
}

// parseFrame reads an Ethernet frame, of which only the beginning may be there. vlan is that of the outer tag in the
// frame, 0 without one.
func parseFrame(b []byte) (from rack.MAC, kind FrameKind, vlan int, ok bool) {
	if len(b) < etherHeader {
		return from, "", 0, false
	}
	copy(from[:], b[6:12])
	if from.IsZero() || from[0]&1 != 0 { // nobody's address
		return from, "", 0, false
	}
	ether, rest := binary.BigEndian.Uint16(b[12:]), b[etherHeader:]
	for ether == unix.ETH_P_8021Q || ether == unix.ETH_P_8021AD {
		if len(rest) < tagSize {
			return from, FrameOther, vlan, true
		}
		if vlan == 0 {
			vlan = int(binary.BigEndian.Uint16(rest)) & vlanBits
		}
		ether, rest = binary.BigEndian.Uint16(rest[2:]), rest[tagSize:]
	}
	return from, frameKind(ether, rest), vlan, true
}

func frameKind(ether uint16, rest []byte) FrameKind {
	switch ether {
	case unix.ETH_P_ARP:
		return FrameARP
	case unix.ETH_P_IPV6:
		return FrameIPv6
	case unix.ETH_P_LLDP:
		return FrameLLDP
	case unix.ETH_P_SLOW:
		if len(rest) > 0 && rest[0] == slowProtocolLACP {
			return FrameLACP
		}
	case unix.ETH_P_IP:
		if toDHCPServer(rest) {
			return FrameDHCP
		}
	}
	return FrameOther
}

// toDHCPServer reports whether an IPv4 packet (RFC 791 3.1) is a UDP datagram to the port of DHCP servers.
func toDHCPServer(b []byte) bool {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return false
	}
	size := int(b[0]&15) * 4
	return size >= 20 && len(b) >= size+4 && binary.BigEndian.Uint16(b[size+2:]) == portDHCPServer
}

// strippedVLAN finds in a message's control data the tag that the kernel or the NIC took off the frame: struct
// tpacket_auxdata of packet(7), whose fields are tp_status, tp_len, tp_snaplen, tp_mac, tp_net, tp_vlan_tci.
func strippedVLAN(control []byte) int {
	msgs, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 18 {
			continue
		}
		if binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			return int(binary.NativeEndian.Uint16(m.Data[16:])) & vlanBits
		}
	}
	return 0
}
