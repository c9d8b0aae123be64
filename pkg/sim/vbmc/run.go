package vbmc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/bougou/go-ipmi/pkg/server"
	"golang.org/x/sync/errgroup"
)

// Run opens the sockets in the BMC's network namespace, gets an address unless Config.Listen is one, and answers IPMI until ctx is done;
// it returns nil then. It may be called again afterwards.
func (b *BMC) Run(ctx context.Context) error { return b.RunAt(ctx, b.cfg.Listen) }

// RunAt is Run with another address than Config.Listen: one that somebody else leased for the BMC.
func (b *BMC) RunAt(ctx context.Context, at netip.AddrPort) error {
	listen := at
	if !at.IsValid() {
		listen = netip.AddrPortFrom(netip.IPv4Unspecified(), Port)
	}
	var udp *net.UDPConn
	err := within(b.cfg.NetNS, func() (err error) {
		udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(listen))
		return err
	})
	if err != nil {
		return fmt.Errorf("virtual BMC %s: %w", b.cfg.Name, err)
	}
	srv := server.NewServer(b.ipmi, &socket{UDPConn: udp, b: b}, server.WithHandlerRegistry(b.reg))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		return srv.Close() // and the socket with it
	})
	g.Go(func() error {
		if err := srv.Serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("virtual BMC %s: %w", b.cfg.Name, err)
		}
		return ctx.Err()
	})
	g.Go(func() error { return b.carryOutLater(ctx) })
	if at.IsValid() {
		at := udp.LocalAddr().(*net.UDPAddr).AddrPort()
		b.setLAN(lan{address: netip.PrefixFrom(at.Addr().Unmap(), at.Addr().Unmap().BitLen())}, at.Port())
	} else {
		g.Go(func() error { return b.lease(ctx) })
	}
	err = g.Wait()
	b.setLAN(lan{}, 0)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// socket is the BMC's UDP socket; a mute BMC hears nothing.
type socket struct {
	*net.UDPConn
	b *BMC
}

// ReadFrom implements transport.PacketConn.
func (s *socket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := s.ReadFromUDP(p)
		if err != nil || !s.b.fault().Mute {
			return n, addr, err
		}
	}
}
