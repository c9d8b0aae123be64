package dhcpd

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/racker-project/racker/pkg/rack"
)

// Router solicitations (RFC 4861 4.1) of machines that boot. iPXE configures a NIC by DHCP and by IPv6
// autoconfiguration at once and goes on when both have ended; without a router the latter takes 16 s, on every start
// of iPXE (seen with iPXE of 2019 in QEMU, BIOS and UEFI, 2026-11-21: 16.1 s from ACK to the first HTTP request, with
// an answer none). So machines with a reservation are told that there is no router: a router advertisement with a
// lifetime of zero, no prefix and no flags, which changes nothing on any other host.
const (
	typeSolicitation  = 133
	typeAdvertisement = 134
	// optionSourceLL is the source link-layer address option (RFC 4861 4.6.1).
	optionSourceLL = 1
	// linkHops is the hop limit that proves that a packet came from the link (RFC 4861 6.1.1).
	linkHops = 255
)

type solicits struct {
	conn *ipv6.PacketConn
	raw  net.PacketConn
	at   int // index of the interface
}

func openSolicits(iface string) (*solicits, error) {
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, err
	}
	raw, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	s := &solicits{conn: ipv6.NewPacketConn(raw), raw: raw, at: ifc.Index}
	if err := s.prepare(ifc); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return s, nil
}

func (s *solicits) prepare(ifc *net.Interface) error {
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeRouterSolicitation)
	if err := s.conn.SetICMPFilter(&only); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	if err := s.conn.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true); err != nil {
		return fmt.Errorf("packet information: %w", err)
	}
	if err := s.conn.SetHopLimit(linkHops); err != nil {
		return fmt.Errorf("hop limit: %w", err)
	}
	allRouters := &net.IPAddr{IP: net.IPv6linklocalallrouters}
	if err := s.conn.JoinGroup(ifc, allRouters); err != nil {
		return fmt.Errorf("join %s: %w", allRouters, err)
	}
	return nil
}

func (s *solicits) close() { _ = s.raw.Close() }

// answerSolicits runs until ctx is done.
func (s *Server) answerSolicits(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = s.solicits.raw.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b := make([]byte, packetSize)
	for ctx.Err() == nil {
		n, cm, from, err := s.solicits.conn.ReadFrom(b)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Debug("reading router solicitations", "iface", s.cfg.Interface, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(errorPause):
			}
			continue
		case cm == nil || cm.IfIndex != s.solicits.at || cm.HopLimit != linkHops:
			continue
		}
		res, known := s.dir.Lookup(solicitor(b[:n]))
		if !known || !res.Boot {
			continue
		}
		to := &ipv6.ControlMessage{IfIndex: s.solicits.at, HopLimit: linkHops}
		if _, err := s.solicits.conn.WriteTo(noRouter(), to, from); err != nil {
			s.log.Debug("answering a router solicitation", "ip", from, "err", err)
		}
	}
}

// solicitor reads the sender's MAC from a router solicitation: type, code, checksum, four reserved bytes, options in
// units of eight bytes. Without the option it is zero.
func solicitor(b []byte) rack.MAC {
	var mac rack.MAC
	if len(b) < 8 || b[0] != typeSolicitation || b[1] != 0 {
		return mac
	}
	for b = b[8:]; len(b) >= 8; {
		n := int(b[1]) * 8
		if n == 0 || n > len(b) {
			return rack.MAC{}
		}
		if b[0] == optionSourceLL && n == 8 {
			copy(mac[:], b[2:])
		}
		b = b[n:]
	}
	return mac
}

// noRouter is a router advertisement (RFC 4861 4.2) that says only that its sender is no default router. The kernel
// fills in the checksum.
func noRouter() []byte {
	b := make([]byte, 16)
	b[0] = typeAdvertisement
	return b
}
