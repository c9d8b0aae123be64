package sntpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultPort is NTP's (RFC 5905 7.2).
const DefaultPort = 123

// Config says where the server listens.
type Config struct {
	// Interface is what the socket is bound to; empty binds to the address alone.
	Interface string
	// Server is the address to listen on; replies come from it. Required.
	Server netip.Addr
	// Prefix is the network that is answered. Required.
	Prefix netip.Prefix
	// Port to listen on; zero means 123.
	Port int
	// Optional lets the server do without the port when another program has it: that one tells the time then.
	Optional bool
}

// Server answers. Listen and Run are called once each.
type Server struct {
	cfg  Config
	log  *slog.Logger
	conn *net.UDPConn // nil when another program has the port
}

// New checks the configuration; it opens nothing.
func New(cfg Config, log *slog.Logger) (*Server, error) {
	cfg.Port = cmp.Or(cfg.Port, DefaultPort)
	switch {
	case !cfg.Server.Is4() || !cfg.Prefix.Contains(cfg.Server):
		return nil, fmt.Errorf("sntp: server address %s: want an IPv4 address of %s", cfg.Server, cfg.Prefix)
	case cfg.Port < 1 || cfg.Port > 65535:
		return nil, fmt.Errorf("sntp: port %d: want 1 to 65535", cfg.Port)
	}
	return &Server{cfg: cfg, log: log}, nil
}

// Listen binds the socket. An error matches syscall.EADDRINUSE when somebody else has the port and Config.Optional is not set,
// and os.ErrPermission without the right to bind it.
func (s *Server) Listen(ctx context.Context) error {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) {
			if s.cfg.Interface != "" {
				err = unix.BindToDevice(int(fd), s.cfg.Interface)
			}
		})
		return errors.Join(ctl, err)
	}}
	conn, err := lc.ListenPacket(ctx, "udp4", netip.AddrPortFrom(s.cfg.Server, uint16(s.cfg.Port)).String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && s.cfg.Optional:
		s.log.WarnContext(ctx, "another program serves the time", "iface", s.cfg.Interface, "err", err)
		return nil
	case err != nil:
		return fmt.Errorf("sntp: listen on %s port %d: %w", s.cfg.Interface, s.cfg.Port, err)
	}
	s.conn = conn.(*net.UDPConn)
	return nil
}

// Serving reports whether the server has its port; after Listen only.
func (s *Server) Serving() bool { return s.conn != nil }

// Addr is where the server listens; after Listen only, while Serving.
func (s *Server) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Run answers until ctx is done, and gives nil.
func (s *Server) Run(ctx context.Context) error {
	if s.conn == nil {
		<-ctx.Done()
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() { _ = s.conn.Close() }() // nothing is held back in it
	buf := make([]byte, 2*Size)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		received := time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return fmt.Errorf("sntp: read: %w", err)
		case err != nil:
			continue // an ICMP error of a client that went away
		}
		s.answer(ctx, buf[:n], from, received)
	}
}

func (s *Server) answer(ctx context.Context, in []byte, from netip.AddrPort, received time.Time) {
	if !s.cfg.Prefix.Contains(from.Addr().Unmap()) || from.Port() == 0 {
		s.log.DebugContext(ctx, "time not told", "ip", from.Addr(), "err", "not of the internal network")
		return
	}
	out, err := reply(in, clock(), received, time.Now())
	if err != nil {
		s.log.DebugContext(ctx, "time not told", "ip", from.Addr(), "err", err)
		return
	}
	_, _ = s.conn.WriteToUDPAddrPort(out, from) // a client asks again
}
