// Package tftpd is a read-only TFTP server over an fs.FS (RFC 1350, with the options blksize of RFC 2348 and tsize of
// RFC 2349), for the boot programs that PXE firmware loads. Each transfer has a port of its own.
//
// Run owns the listening goroutine and one goroutine per transfer, of which there is a bounded number, and waits for
// all of them.
package tftpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pin/tftp/v3"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Defaults of Config, and how the server treats clients that do not answer.
const (
	DefaultPort         = 69
	DefaultMaxTransfers = 512
	DefaultDrain        = 30 * time.Second

	// ackTimeout and retries bound how long a client that went away keeps a transfer: about 10 s.
	ackTimeout = 2 * time.Second
	retries    = 4
)

// Config says where the server listens.
type Config struct {
	// Interface is what the socket is bound to; empty binds to the address alone.
	Interface string
	// Server is the address to listen on; replies come from it. Required.
	Server netip.Addr
	// Port to listen on; zero means 69.
	Port int
	// MaxTransfers bounds the transfers at a time; a client beyond it gets an error and tries again. Zero means 512.
	MaxTransfers int
	// Drain is how long transfers under way may go on after the stop; zero means 30 s.
	Drain time.Duration
	// Conn is a socket that is bound already, by systemd for one; Listen then takes it.
	Conn *net.UDPConn
}

// Server serves files. Listen and Run are called once each.
type Server struct {
	cfg      Config
	fsys     fs.FS
	observer Observer
	log      *slog.Logger

	conn  *net.UDPConn
	slots chan struct{} // one per transfer under way
	cut   atomic.Bool   // the time to drain is over
}

// New checks the configuration; it opens nothing.
func New(cfg Config, fsys fs.FS, observer Observer, log *slog.Logger) (*Server, error) {
	cfg.Port = cmp.Or(cfg.Port, DefaultPort)
	cfg.MaxTransfers = cmp.Or(cfg.MaxTransfers, DefaultMaxTransfers)
	cfg.Drain = cmp.Or(cfg.Drain, DefaultDrain)
	switch {
	case !cfg.Server.Is4():
		return nil, fmt.Errorf("tftp: server address %s: want an IPv4 address", cfg.Server)
	case cfg.Port < 1 || cfg.Port > 65535:
		return nil, fmt.Errorf("tftp: port %d: want 1 to 65535", cfg.Port)
	case cfg.MaxTransfers < 1:
		return nil, fmt.Errorf("tftp: %d transfers: want 1 or more", cfg.MaxTransfers)
	}
	return &Server{cfg: cfg, fsys: fsys, observer: observer, log: log, slots: make(chan struct{}, cfg.MaxTransfers)}, nil
}

// Listen binds the socket, or takes the one of the configuration. An error matches syscall.EADDRINUSE when somebody
// else has the port, and os.ErrPermission without the right to bind it.
func (s *Server) Listen(ctx context.Context) error {
	if s.conn = s.cfg.Conn; s.conn == nil {
		conn, err := s.bind(ctx)
		if err != nil {
			return fmt.Errorf("tftp: listen on %s port %d: %w", s.cfg.Interface, s.cfg.Port, err)
		}
		s.conn = conn
	}
	// The block size depends on the interface's MTU, so requests that come before Run must have it, too.
	if err := ipv4.NewPacketConn(s.conn).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true); err != nil {
		return errors.Join(fmt.Errorf("tftp: packet information: %w", err), s.conn.Close())
	}
	return nil
}

func (s *Server) bind(ctx context.Context) (*net.UDPConn, error) {
	at := netip.AddrPortFrom(s.cfg.Server, uint16(s.cfg.Port))
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), s.cfg.Interface) })
		return errors.Join(ctl, err)
	}}
	if s.cfg.Interface == "" {
		lc.Control = nil
	}
	conn, err := lc.ListenPacket(ctx, "udp4", at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// Run serves until ctx is done, then lets transfers finish for at most Config.Drain and gives nil. It calls Listen if
// nobody did.
func (s *Server) Run(ctx context.Context) error {
	if s.conn == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	// Transfers outlive ctx while they drain.
	serving := context.WithoutCancel(ctx)
	srv := tftp.NewServer(func(name string, rf io.ReaderFrom) error { return s.read(serving, name, rf) }, nil)
	srv.SetTimeout(ackTimeout)
	srv.SetRetries(retries)

	var wg sync.WaitGroup
	served := make(chan error, 1)
	wg.Go(func() { served <- srv.Serve(s.conn) })
	defer wg.Wait()

	select {
	case err := <-served: // it ends by itself only if the socket is none that it can use
		srv.Shutdown()
		return fmt.Errorf("tftp: serve: %w", err)
	case <-ctx.Done():
	}
	drain := time.AfterFunc(s.cfg.Drain, func() { s.cut.Store(true) })
	defer drain.Stop()
	srv.Shutdown()
	return nil
}
