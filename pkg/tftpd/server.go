// Package tftpd is a read-only TFTP server over an fs.FS (RFC 1350, with the options blksize of RFC 2348 and tsize of
// RFC 2349), for the boot programs that PXE firmware loads. Each transfer has a port of its own.
//
// Run owns the listening goroutine and one goroutine per transfer, of which there is a bounded number, and waits for
// all of them.
package tftpd

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Config says where the server listens.
type Config struct {
	// Interface is what the socket is bound to; empty binds to the address alone.
	Interface string
	// Server is the address to listen on. Required.
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

// Served is one request and what became of it.
type Served struct {
	Name string
	IP   netip.Addr
	// Bytes is what was sent and acknowledged.
	Bytes    int64
	Duration time.Duration
	// Probe tells that the client only asked for the size and went away, as UEFI does before it loads a file.
	Probe bool
	// Err is nil when the client acknowledged the whole file, or for a probe. It matches fs.ErrNotExist for a name
	// that is not served, ErrName for one that is none, and ErrBusy.
	Err error
}

// Observer hears of every read request. It is called from several goroutines and must not block.
type Observer interface {
	File(ctx context.Context, s Served)
}

var (
	// ErrName is matched for names that could leave the file system that is served.
	ErrName = errors.New("not a file name that is served")
	// ErrBusy is matched for requests above the bound.
	ErrBusy = errors.New("too many transfers")
)

// Server serves files. Listen and Run are called once each.
type Server struct {
	cfg Config
}

// New checks the configuration; it opens nothing.
func New(cfg Config, fsys fs.FS, observer Observer, log *slog.Logger) (*Server, error) {
	return &Server{cfg: cfg}, nil
}

// Listen binds the socket, or takes the one of the configuration. An error matches syscall.EADDRINUSE when somebody
// else has the port, and os.ErrPermission without the right to bind it.
func (s *Server) Listen(ctx context.Context) error { return errors.ErrUnsupported }

// Run serves until ctx is done, then lets transfers finish for at most Config.Drain and gives nil. It calls Listen if
// nobody did.
func (s *Server) Run(ctx context.Context) error { return errors.ErrUnsupported }
