package tftpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pin/tftp/v3"

	"github.com/racker-project/racker/pkg/internal/nettest"
)

type observed struct{ ch chan Served }

func (o observed) File(_ context.Context, s Served) {
	select {
	case o.ch <- s:
	default:
	}
}

// content is large enough for block numbers to be more than one byte, and no multiple of a block.
func content() []byte {
	b := make([]byte, 850_529)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

func files() fstest.MapFS {
	return fstest.MapFS{
		"ipxe.efi":    {Data: content()},
		"empty":       {Data: nil},
		"one-block":   {Data: make([]byte, 512)},
		"sub/file":    {Data: []byte("below")},
		"sub/dir/two": {Data: []byte("deep")},
	}
}

// start runs a server in the test's namespace, with a client on a cable; the function stops it and tells how long that
// took.
func start(t *testing.T, n *nettest.Net, fsys fs.FS, change func(*Config)) (nettest.NS, chan Served, func() time.Duration) {
	t.Helper()
	ns := n.NS("client")
	n.Veth(nettest.Nic{Name: "int0", Addrs: []string{"172.24.213.1/24"}},
		nettest.Nic{NS: ns, Name: "eth0", Addrs: []string{"172.24.213.2/24"}})
	cfg := Config{Interface: "int0", Server: netip.MustParseAddr("172.24.213.1")}
	if change != nil {
		change(&cfg)
	}
	seen := make(chan Served, 256)
	s, err := New(cfg, fsys, observed{seen}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return ns, seen, func() time.Duration {
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		return time.Since(began)
	}
}

// TestCurl fetches with a client that nobody here wrote.
func TestCurl(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		ns, seen, stop := start(t, n, files(), nil)
		for _, args := range [][]string{{"--tftp-blksize", "512"}, {"--tftp-blksize", "1468"}, {"--tftp-blksize", "8192"}, {"--tftp-no-options"}} {
			var out bytes.Buffer
			err := n.In(ns, func() error {
				cmd := exec.CommandContext(t.Context(), "curl", append(args, "-sS", "--max-time", "20", "tftp://172.24.213.1//ipxe.efi")...)
				cmd.Stdout = &out
				return cmd.Run()
			})
			if err != nil || !bytes.Equal(out.Bytes(), content()) {
				t.Errorf("curl %v: %v, %d bytes", args, err, out.Len())
			}
			if s := <-seen; s.Err != nil || s.Name != "ipxe.efi" || s.Bytes != int64(len(content())) || s.Size != s.Bytes || s.IP != netip.MustParseAddr("172.24.213.2") {
				t.Errorf("curl %v: observed %+v", args, s)
			}
		}
		if d := stop(); d > time.Second {
			t.Errorf("the stop took %s", d)
		}
	})
}

// fetch reads a file with the library's client, which asks for blksize and tsize.
func fetch(n *nettest.Net, ns nettest.NS, name string) (got []byte, size int64, err error) {
	err = n.In(ns, func() error {
		c, err := tftp.NewClient("172.24.213.1:69")
		if err != nil {
			return err
		}
		c.SetBlockSize(1400)
		c.RequestTSize(true)
		c.SetTimeout(2 * time.Second)
		r, err := c.Receive(name, "octet")
		if err != nil {
			return err
		}
		if in, ok := r.(tftp.IncomingTransfer); ok {
			size, _ = in.Size()
		}
		var b bytes.Buffer
		_, err = r.WriteTo(&b)
		got = b.Bytes()
		return err
	})
	return got, size, err
}

func TestFetch(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		ns, _, stop := start(t, n, files(), nil)
		defer stop()
		for asked, want := range map[string]string{
			"ipxe.efi": "ipxe.efi", "/ipxe.efi": "ipxe.efi", "//ipxe.efi": "ipxe.efi", "ipxe.efi\xff": "ipxe.efi",
			"one-block": "one-block", "sub/file": "sub/file", "/sub/dir/two": "sub/dir/two", "empty": "empty",
		} {
			got, size, err := fetch(n, ns, asked)
			data := files()[want].Data
			if err != nil || !bytes.Equal(got, data) || size != int64(len(data)) {
				t.Errorf("%q: %d bytes of %d, tsize %d, %v", asked, len(got), len(data), size, err)
			}
		}
		for _, asked := range []string{
			"nope", "..", "../etc/passwd", "/../etc/passwd", "sub/../../etc/passwd", "sub/../ipxe.efi", `..\etc\passwd`, `\ipxe.efi`,
			"sub", "", "/", ".", "sub//file", "./ipxe.efi", "ipxe.efi/", "ipxe.efi\n",
		} {
			if got, _, err := fetch(n, ns, asked); err == nil {
				t.Errorf("%q: %d bytes, want an error", asked, len(got))
			}
		}
	})
}

// TestMany lets many clients fetch at once; those above the bound are told so, and none is left without an answer.
func TestMany(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		ns, _, stop := start(t, n, files(), nil)
		defer stop()
		var wg sync.WaitGroup
		errs := make(chan error, 64)
		for range cap(errs) {
			wg.Go(func() {
				got, _, err := fetch(n, ns, "ipxe.efi")
				if err == nil && !bytes.Equal(got, content()) {
					err = fmt.Errorf("%d bytes", len(got))
				}
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// slow is a file whose reading waits for the test.
type slow struct {
	fs.File
	gate chan struct{}
}

func (s slow) Read(b []byte) (int, error) {
	<-s.gate
	return s.File.Read(b)
}

// slowFS has a slow ipxe.efi, and tells when it was opened.
type slowFS struct {
	fs.FS
	opened, gate chan struct{}
}

func (s slowFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil || name != "ipxe.efi" {
		return f, err
	}
	close(s.opened)
	return slow{f, s.gate}, nil
}

func TestBusyAndDrain(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		opened, gate := make(chan struct{}), make(chan struct{})
		ns, seen, stop := start(t, n, slowFS{files(), opened, gate}, func(c *Config) { c.MaxTransfers = 1 })
		type result struct {
			b   []byte
			err error
		}
		first := make(chan result, 1)
		go func() {
			b, _, err := fetch(n, ns, "ipxe.efi")
			first <- result{b, err}
		}()
		<-opened
		if _, _, err := fetch(n, ns, "one-block"); err == nil {
			t.Error("a second transfer was served")
		}
		if s := <-seen; !errors.Is(s.Err, ErrBusy) {
			t.Errorf("observed %+v, want %v", s, ErrBusy)
		}
		stopped := make(chan time.Duration, 1)
		go func() { stopped <- stop() }()
		close(gate)
		if r := <-first; r.err != nil || !bytes.Equal(r.b, content()) {
			t.Errorf("the transfer under way at the stop: %d bytes, %v", len(r.b), r.err)
		}
		<-stopped
	})
}

// TestCut: a transfer that would go on for longer than the server may wait is cut.
func TestCut(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		endless := endlessFS{"opened": make(chan struct{})}
		ns, seen, stop := start(t, n, endless, func(c *Config) { c.Drain = 50 * time.Millisecond })
		done := make(chan error, 1)
		go func() {
			_, _, err := fetch(n, ns, "endless")
			done <- err
		}()
		<-endless["opened"]
		if d := stop(); d > 2*time.Second {
			t.Errorf("the stop took %s", d)
		}
		if err := <-done; err == nil {
			t.Error("an endless file came to an end")
		}
		if s := <-seen; !errors.Is(s.Err, errCut) {
			t.Errorf("observed %+v, want %v", s, errCut)
		}
	})
}

func TestPortInUse(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		_, _, stop := start(t, n, files(), nil)
		defer stop()
		s, err := New(Config{Interface: "int0", Server: netip.MustParseAddr("172.24.213.1")}, files(), nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second Listen = %v", err)
		}
	})
}

// TestProbe asks for the size as UEFI does: error 8 in place of the acknowledgement of the options.
func TestProbe(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		ns, seen, stop := start(t, n, files(), nil)
		defer stop()
		err := n.In(ns, func() error {
			conn, err := net.ListenPacket("udp4", "172.24.213.2:0")
			if err != nil {
				return err
			}
			defer conn.Close()
			rrq := "\x00\x01ipxe.efi\x00octet\x00tsize\x000\x00blksize\x001468\x00windowsize\x004\x00"
			if _, err := conn.WriteTo([]byte(rrq), &net.UDPAddr{IP: net.IPv4(172, 24, 213, 1), Port: 69}); err != nil {
				return err
			}
			b := make([]byte, 600)
			if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				return err
			}
			k, from, err := conn.ReadFrom(b)
			if err != nil {
				return err
			}
			if b[1] != 6 || !bytes.Contains(b[:k], []byte("tsize\x00850529\x00")) || !bytes.Contains(b[:k], []byte("blksize\x001468\x00")) || bytes.Contains(b[:k], []byte("windowsize")) {
				t.Errorf("OACK = %q", b[:k])
			}
			if from.(*net.UDPAddr).Port == 69 {
				t.Error("the transfer has no port of its own")
			}
			_, err = conn.WriteTo([]byte("\x00\x05\x00\x08User aborted the transfer\x00"), from)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := <-seen; !s.Probe || s.Err != nil {
			t.Errorf("observed %+v, want a probe", s)
		}
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr("172.24.213.1")
	for name, c := range map[string]Config{
		"no address": {}, "IPv6": {Server: netip.MustParseAddr("fe80::1")}, "port": {Server: ip, Port: 70000}, "bound": {Server: ip, MaxTransfers: -1},
	} {
		if _, err := New(c, files(), nil, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// endlessFS has one file, without an end; the channel tells that it is being read.
type endlessFS map[string]chan struct{}

func (e endlessFS) Open(string) (fs.File, error) {
	f, err := files().Open("one-block")
	if err != nil {
		return nil, err
	}
	return &endlessFile{File: f, first: e["opened"]}, nil
}

type endlessFile struct {
	fs.File
	first chan struct{}
	once  sync.Once
}

func (e *endlessFile) Read(b []byte) (int, error) {
	e.once.Do(func() { close(e.first) })
	return len(b), nil
}
