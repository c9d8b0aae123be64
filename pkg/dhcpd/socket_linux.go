package dhcpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer is what the kernel keeps while the workers are busy: some thousand packets of a rack that powers up.
	receiveBuffer = 4 << 20
	// packetSize is the room for one packet; clients send far less, and nobody more than a frame.
	packetSize = 2048
)

// packet is a buffer with one received packet.
type packet struct {
	buf   [packetSize]byte
	n     int
	iface int // index
	from  netip.AddrPort
}

// socket is a UDP socket for all that IP can deliver, and a raw one for clients that have no address yet.
type socket struct {
	conn   *ipv4.PacketConn
	udp    *net.UDPConn
	server netip.Addr
	port   int // ours; the client's is the next one
	iface  int // index
	raw    int // -1 without
	rawErr error
}

func openSocket(ctx context.Context, cfg *Config) (*socket, error) {
	conn := cfg.Conn
	if conn == nil {
		lc := net.ListenConfig{Control: bindTo(cfg.Interface)}
		c, err := lc.ListenPacket(ctx, "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(cfg.Port)).String())
		if err != nil {
			return nil, err
		}
		conn = c.(*net.UDPConn)
	}
	s := &socket{conn: ipv4.NewPacketConn(conn), udp: conn, server: cfg.Server, port: cfg.Port}
	if ifc, err := net.InterfaceByName(cfg.Interface); err == nil {
		s.iface = ifc.Index
	}
	// The kernel gives less if it may not give all; nothing breaks then.
	_ = conn.SetReadBuffer(receiveBuffer)
	if err := s.conn.SetControlMessage(ipv4.FlagInterface, true); err != nil {
		return nil, errors.Join(fmt.Errorf("packet information: %w", err), conn.Close())
	}
	s.raw, s.rawErr = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return s, nil
}

// bindTo binds a socket to an interface before it gets its address, so that servers on other interfaces do not matter.
func bindTo(iface string) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) {
			err = unix.BindToDevice(int(fd), iface)
		})
		if err != nil {
			err = fmt.Errorf("bind to interface %s: %w", iface, err)
		}
		return errors.Join(ctl, err)
	}
}

// wake ends a read that waits.
func (s *socket) wake() { _ = s.udp.SetReadDeadline(time.Unix(1, 0)) }

func (s *socket) close() {
	_ = s.udp.Close()
	if s.raw >= 0 {
		_ = unix.Close(s.raw)
	}
}

func (s *socket) read(p *packet) error {
	n, cm, from, err := s.conn.ReadFrom(p.buf[:])
	if err != nil {
		return err
	}
	p.n, p.iface = n, s.iface
	if cm != nil { // not with packets that came before the socket was ready
		p.iface = cm.IfIndex
	}
	if u, ok := from.(*net.UDPAddr); ok {
		p.from = u.AddrPort()
	}
	return nil
}

// send delivers a reply as RFC 2131 4.1 says: to the relay agent; else, for NAK, to all; else to the address that the
// client has; else to all if it asked for that; else to its hardware address, since it cannot answer ARP yet.
func (s *socket) send(x *exchange, iface int) error {
	b := x.out.ToBytes()
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), uint16(s.port+1))
	ciaddr := addr(x.out.ClientIPAddr)
	switch {
	case x.relay.IsValid():
		to = netip.AddrPortFrom(x.relay, uint16(s.port))
	case x.seen.Reply == dhcpv4.MessageTypeNak:
	case ciaddr.IsValid():
		to = netip.AddrPortFrom(ciaddr, uint16(s.port+1))
	case x.out.IsBroadcast():
	default:
		if s.sendRaw(b, addr(x.out.YourIPAddr), x.mac, iface) == nil {
			return nil
		}
	}
	_, err := s.conn.WriteTo(b, &ipv4.ControlMessage{Src: s.server.AsSlice(), IfIndex: iface}, net.UDPAddrFromAddrPort(to))
	return err
}
