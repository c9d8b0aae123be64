package tftpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pin/tftp/v3"
)

var (
	// ErrName is matched for names that could leave the file system that is served.
	ErrName = errors.New("not a file name that is served")
	// ErrBusy is matched for requests above the bound.
	ErrBusy = errors.New("too many transfers")
	// errCut ends transfers that did not finish in time after the stop.
	errCut = errors.New("the server stops")
)

// maxName bounds a name; a request is one datagram of at most 512 bytes (RFC 1350 5).
const maxName = 500

// Served is one request and what became of it.
type Served struct {
	// Name is the name as it was looked up, or as it was asked for when it is none.
	Name string
	IP   netip.Addr
	// Bytes is what was read for sending; of a transfer that failed the client may have got less. Size is the file's; zero
	// when there is none.
	Bytes, Size int64
	Duration    time.Duration
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

// read serves one request; its error goes to the client.
func (s *Server) read(ctx context.Context, asked string, rf io.ReaderFrom) error {
	start := time.Now()
	got := Served{Name: asked}
	if out, ok := rf.(tftp.OutgoingTransfer); ok {
		remote := out.RemoteAddr()
		got.IP = remote.AddrPort().Addr().Unmap()
	}
	got.Err = s.send(asked, &got, rf)
	got.Duration = time.Since(start)
	if got.Bytes == 0 && isAbort(got.Err) {
		got.Probe, got.Err = true, nil
	}
	log := s.log.With("ip", got.IP, "file", got.Name, "bytes", got.Bytes, "dur", got.Duration)
	if got.Err != nil {
		log.Warn("tftp transfer", "err", got.Err)
	} else {
		log.Debug("tftp transfer")
	}
	s.observer.File(ctx, got)
	return publicError(got.Err)
}

func (s *Server) send(asked string, got *Served, rf io.ReaderFrom) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return ErrBusy
	}
	name, err := clean(asked)
	if err != nil {
		return err
	}
	got.Name = name
	f, err := s.fsys.Open(name)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open %s: %w: not a file", name, fs.ErrNotExist)
	}
	got.Size = info.Size()
	if out, ok := rf.(tftp.OutgoingTransfer); ok {
		out.SetSize(got.Size) // option tsize
	}
	r := &source{r: f, cut: &s.cut}
	_, err = rf.ReadFrom(r)
	got.Bytes = r.n
	return err
}

// source counts what is read and ends early when the server must stop.
type source struct {
	r   io.Reader
	n   int64
	cut *atomic.Bool
}

func (s *source) Read(b []byte) (int, error) {
	if s.cut.Load() {
		return 0, errCut
	}
	n, err := s.r.Read(b)
	s.n += int64(n)
	return n, err
}

// clean turns the name of a request into one for an fs.FS. Firmware puts slashes before names, and some of it takes the
// byte that ends the DHCP options (255) for the last of the name. Nothing else is mended: a name with "..", a backslash
// or a control character never reaches the file system.
func clean(asked string) (string, error) {
	name := asked
	for len(name) > 0 && name[len(name)-1] == 0xff {
		name = name[:len(name)-1]
	}
	name = strings.TrimLeft(name, "/")
	odd := strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' })
	if name == "." || odd || len(name) > maxName || !fs.ValidPath(name) {
		return "", fmt.Errorf("%q: %w", asked, ErrName)
	}
	return name, nil
}

// isAbort tells that the client ended the transfer by itself. UEFI and many BIOS clients ask for the size that way: they
// send error 8 (RFC 2347) or 0 in place of the first acknowledgement.
func isAbort(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "sending block 0: code=")
}

// publicError is what a client is told of an error: no path, no detail.
func publicError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrBusy):
		return ErrBusy
	case errors.Is(err, errCut):
		return errCut
	case errors.Is(err, ErrName), errors.Is(err, fs.ErrNotExist):
		return errNotServed
	}
	return errTransfer
}

var (
	errNotServed = errors.New("file not found")
	errTransfer  = errors.New("transfer failed")
)
