package api

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

// Groups of the operator API's sockets.
const (
	GroupOrder = "racker"      // may order and look
	GroupRead  = "racker-read" // may look
)

// ReadSocket gives the path of the socket for those who may only look, which is beside the one for orders:
// racker.sock, racker-read.sock.
func ReadSocket(path string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-read" + ext
}

// dial connects to the socket, or, where that is for others, to the one for looking only: the daemon then refuses
// orders, and says so.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrPermission) {
		if other, e := d.DialContext(ctx, "unix", ReadSocket(socket)); e == nil {
			return &answerFirst{Conn: other}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return &answerFirst{Conn: conn}, nil
}

// answerFirst is a connection whose writes are dropped once the peer reads no more: its answer, which says why, may
// still wait to be read, and the HTTP client would close the connection at the first failed write.
type answerFirst struct {
	net.Conn
	deaf atomic.Bool
}

// Write implements net.Conn.
func (c *answerFirst) Write(p []byte) (int, error) {
	if c.deaf.Load() {
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		c.deaf.Store(true)
		return len(p), nil
	}
	return n, err
}
