package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/sim"
)

const (
	// connectTime bounds the wait for a TCP connection.
	connectTime = 10 * time.Second
	// receiveBuffer bounds what the kernel keeps for one connection: a thousand slow readers must not fill the memory.
	receiveBuffer = 128 << 10
)

// errNoSockets is returned once the fleet has ended.
var errNoSockets = errors.New("the fleet has ended")

// sockets opens sockets in the servers' namespace, on one thread that stays there.
type sockets struct {
	ns   *sim.Namespace
	asks chan func()
	over chan struct{}
}

func newSockets(ns *sim.Namespace) *sockets {
	return &sockets{ns: ns, asks: make(chan func()), over: make(chan struct{})}
}

// run serves until ctx is done.
func (s *sockets) run(ctx context.Context) error {
	defer close(s.over)
	return s.ns.Do(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case ask := <-s.asks:
				ask()
			}
		}
	})
}

// open makes a socket of a kind that is bound to a local address, with any port.
func (s *sockets) open(kind int, local netip.Addr) (fd int, err error) {
	done := make(chan struct{})
	ask := func() {
		defer close(done)
		fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	}
	select {
	case s.asks <- ask:
	case <-s.over:
		return -1, errNoSockets
	}
	<-done
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if kind == unix.SOCK_STREAM {
		// The kernel then chooses the port by both ends, so that no server runs out of ports.
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer))
	}
	if err = errors.Join(err, unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()})); err != nil {
		return -1, errors.Join(fmt.Errorf("bind socket to %s: %w", local, err), unix.Close(fd))
	}
	return fd, nil
}

// udp opens a UDP socket.
func (s *sockets) udp(local netip.Addr) (*net.UDPConn, error) {
	fd, err := s.open(unix.SOCK_DGRAM, local)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "udp")
	defer f.Close() // the connection has a copy
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return c.(*net.UDPConn), nil
}

// dial connects from a local address.
func (s *sockets) dial(ctx context.Context, local netip.Addr, to netip.AddrPort) (*net.TCPConn, error) {
	fd, err := s.open(unix.SOCK_STREAM, local)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close() // the connection has a copy
	if err := connect(ctx, f, to); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return c.(*net.TCPConn), nil
}

// connect begins to connect, and waits until the socket can be written to.
func connect(ctx context.Context, f *os.File, to netip.AddrPort) error {
	if err := f.SetWriteDeadline(time.Now().Add(connectTime)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	begun := false
	var result error
	err = raw.Write(func(fd uintptr) bool {
		if !begun {
			begun = true
			result = unix.Connect(int(fd), &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
			return !errors.Is(result, unix.EINPROGRESS)
		}
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		result = err
		if err == nil && code != 0 {
			result = unix.Errno(code)
		}
		return true
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	}
	return result
}

// lines are the connections that a server has open. When its power goes they end without a word.
type lines struct {
	mu   sync.Mutex
	open map[*line]struct{}
	cut  bool
}

// line is one of them.
type line struct {
	*net.TCPConn
	of *lines
}

// add takes a connection in; false when the power is gone already.
func (l *lines) add(c *net.TCPConn) (*line, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, false
	}
	n := &line{TCPConn: c, of: l}
	if l.open == nil {
		l.open = map[*line]struct{}{}
	}
	l.open[n] = struct{}{}
	return n, true
}

// Close implements net.Conn.
func (n *line) Close() error {
	n.of.mu.Lock()
	delete(n.of.open, n)
	n.of.mu.Unlock()
	return n.TCPConn.Close()
}

// drop ends all of them. The kernel's last packets do not leave: the address has no owner any more.
func (l *lines) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for n := range l.open {
		_ = n.SetLinger(0) // nothing is sent again and again for a machine that is off
		_ = n.TCPConn.Close()
	}
	clear(l.open)
}
