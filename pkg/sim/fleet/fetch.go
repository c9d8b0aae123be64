package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
)

// maxFetch bounds what is kept of a file: scripts and small programs.
const maxFetch = 8 << 20

// copyBuffers are shared by all that throw data away.
type copyBuffers struct{ pool sync.Pool }

// copySize is what one read of a large file takes at most.
const copySize = 64 << 10

func (c *copyBuffers) get() *[]byte {
	if p, ok := c.pool.Get().(*[]byte); ok {
		return p
	}
	buf := make([]byte, copySize)
	return &buf
}

func (c *copyBuffers) put(p *[]byte) { c.pool.Put(p) }

// dial connects from the address that the server has now.
func (s *session) dial(ctx context.Context, _, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	local := s.port.address()
	if !local.IsValid() {
		return nil, errNoAddress
	}
	c, err := s.node.fleet.sockets.dial(ctx, local, to)
	if err != nil {
		return nil, err
	}
	l, ok := s.lines.add(c)
	if !ok {
		return nil, errors.Join(errNoAddress, c.Close())
	}
	return l, nil
}

var errNoAddress = errors.New("the server has no address")

// get asks for a file by plain HTTP, in a connection of its own as iPXE does. limit, when not 0, asks for the first bytes
// only.
func (s *session) get(ctx context.Context, from *url.URL, limit int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "iPXE/1.0.0")
	if limit > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", limit-1))
	}
	t := &http.Transport{DialContext: s.dial, DisableKeepAlives: true, DisableCompression: true}
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", from, err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPartialContent {
		res.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", from, res.Status)
	}
	return res, nil
}

// fetch implements loader.
func (s *session) fetch(ctx context.Context, from *url.URL) ([]byte, error) {
	res, err := s.get(ctx, from, 0)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxFetch+1))
	if err == nil && len(b) > maxFetch {
		err = fmt.Errorf("larger than %d bytes", maxFetch)
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", from, err)
	}
	return b, nil
}

// discard reads a file to its end, or its cap, and throws it away. With stall it goes silent in the middle.
func (s *session) discard(ctx context.Context, from *url.URL, stall bool) error {
	res, err := s.get(ctx, from, int64(s.node.hw.LoadCap))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	buf := s.node.fleet.copies.get()
	defer s.node.fleet.copies.put(buf)
	var n int64
	for {
		m, err := res.Body.Read(*buf)
		n += int64(m)
		switch {
		case stall && n >= max(1, res.ContentLength/2):
			s.hang(ctx, "loading "+from.Path)
			return ctx.Err()
		case errors.Is(err, io.EOF) && res.ContentLength >= 0 && n != res.ContentLength:
			return fmt.Errorf("GET %s: %w after %d bytes", from, io.ErrUnexpectedEOF, n)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("GET %s: %w", from, err)
		}
	}
}

// renew ends the connections of what ran before a reboot, and takes new ones again.
func (l *lines) renew() {
	l.drop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}
