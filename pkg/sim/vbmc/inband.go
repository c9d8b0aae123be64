package vbmc

import (
	"context"
	"net"

	"github.com/bougou/go-ipmi/pkg/vmproto"
)

// ServeInBand serves the system interface of the machine over conn until it ends or ctx is done, and closes it. conn is the
// socket of QEMU's "-device ipmi-bmc-extern", in either direction; it speaks OpenIPMI's VM protocol: messages that end in A0h,
// commands that end in A1h, AAh as the escape. The guest's KCS interface needs no password, as on real machines. It does
// the same as the network side does, power included; such orders are carried out by Run, after they were answered.
// Malformed messages are dropped.
func (b *BMC) ServeInBand(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	ctx = context.WithValue(ctx, inBand{}, true)
	return vmproto.NewVMServer(b.ipmi, vmproto.WithVMHandlerRegistry(b.reg)).Serve(ctx, &single{conn: conn})
}

// single is a listener that has one connection to give.
type single struct{ conn net.Conn }

// Accept implements net.Listener.
func (s *single) Accept() (net.Conn, error) {
	if s.conn == nil {
		return nil, net.ErrClosed
	}
	conn := s.conn
	s.conn = nil
	return conn, nil
}

// Close implements net.Listener; the connection is its user's to close.
func (s *single) Close() error { return nil }

// Addr implements net.Listener.
func (s *single) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }
