package fleet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
)

// shelf is a fake image as racker keeps it.
type shelf struct {
	m       *image.Manifest
	data    []byte
	fetches atomic.Int64
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "os.img")
	check(t, WriteImage(name, 24<<20, 14<<20))
	f, err := os.Open(name)
	check(t, err)
	defer f.Close()
	l, err := image.Open(filepath.Join(dir, "images"))
	check(t, err)
	m, err := l.Add(t.Context(), f, image.AddOptions{Name: "os"})
	check(t, err)
	data, err := os.ReadFile(filepath.Join(l.Dir(m.ID), image.DataFile))
	check(t, err)
	return &shelf{m: m, data: data}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Fetch implements image.Fetcher.
func (s *shelf) Fetch(_ context.Context, offset int64) (io.ReadCloser, error) {
	s.fetches.Add(1)
	return io.NopCloser(bytes.NewReader(s.data[offset:])), nil
}

// testFleet is a fleet without a network, at the given scale of time.
func testFleet(scale float64) *Fleet {
	log := slog.New(slog.DiscardHandler)
	return &Fleet{log: log, scale: scale, proofs: newProofs(), relay: newRelay(netip.MustParsePrefix("172.24.213.0/24"), macA, log)}
}

// testBoard is a server that is on, in its agent.
func testBoard(f *Fleet, words ...string) *board {
	faults, err := sim.ParseFaults(words)
	if err != nil {
		panic(err) // the words are the test's
	}
	n := &node{fleet: f, row: &rack.Node{Name: "node-1", Primary: macB}, hw: defaultServer(), port: &port{mac: macB, relay: f.relay}, log: f.log, faults: faults, on: true, state: sim.StateAgent}
	n.now = &session{node: n, port: n.port}
	return &board{session: n.now, stop: func(error) {}}
}

func (b *board) install(ctx context.Context, s image.Fetcher, m *image.Manifest) (esp string, done int64, err error) {
	esp, err = b.write(ctx, api.Disk{Path: "/dev/sda"}, s, m, image.Options{
		Progress:   func(n, total int64) { done = max(done, min(n, total)) },
		Log:        b.node.log,
		RetryDelay: time.Millisecond,
	})
	return esp, done, err
}

func TestWrite(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	b := testBoard(testFleet(1))
	esp, done, err := b.install(t.Context(), s, s.m)
	if err != nil || len(esp) != 36 || done != s.m.RawSize {
		t.Errorf("ESP %q, %d bytes done, %v", esp, done, err)
	}
	st := b.node.Status()
	if st.Installs != 1 || st.State != sim.StateAgent || st.WrittenBytes != s.m.UsedSize() || !b.bootable() {
		t.Errorf("after the write: %+v", st)
	}
	at, err := b.place(t.Context(), api.Disk{Path: "/dev/sda"}, []byte(`{"ignition":{"version":"3.3.0"}}`))
	if err != nil || at != "/dev/sda2" {
		t.Errorf("the config is on %q, %v", at, err)
	}
}

// Servers that write at once share the work of the proof, and each gets all of the data.
func TestWriteTogether(t *testing.T) {
	t.Parallel()
	s, f := newShelf(t), testFleet(1)
	const servers = 20
	var all sync.WaitGroup
	errs := make([]error, servers)
	for i := range servers {
		all.Go(func() {
			b := testBoard(f)
			var esp string
			if esp, _, errs[i] = b.install(t.Context(), s, s.m); esp == "" && errs[i] == nil {
				errs[i] = errors.New("no ESP")
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// A wrong byte is found whoever comes first, and by those who come later.
func TestWriteFindsWrongData(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	good, bad := s.data, bytes.Clone(s.data)
	bad[len(bad)/2] ^= 1
	for name, proved := range map[string]bool{"nobody has proved it": false, "it was proved": true} {
		f := testFleet(1)
		if proved {
			if _, _, err := testBoard(f).install(t.Context(), &shelf{m: s.m, data: good}, s.m); err != nil {
				t.Fatal(err)
			}
		}
		b := testBoard(f)
		if _, _, err := b.install(t.Context(), &shelf{m: s.m, data: bad}, s.m); !errors.Is(err, image.ErrDigest) || b.bootable() {
			t.Errorf("%s: error %v, bootable %t", name, err, b.bootable())
		}
		if n := len(f.proofs.slots); n != provers {
			t.Errorf("%s: %d of %d slots came back", name, n, provers)
		}
	}
}

// broken is a source whose streams end after a number of bytes.
type broken struct {
	*shelf
	after int64
}

func (b broken) Fetch(ctx context.Context, offset int64) (io.ReadCloser, error) {
	r, err := b.shelf.Fetch(ctx, offset)
	return io.NopCloser(io.LimitReader(r, b.after)), err
}

func TestWriteResumes(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	if _, _, err := testBoard(testFleet(1)).install(t.Context(), broken{s, 5 << 20}, s.m); err != nil || s.fetches.Load() < 3 {
		t.Errorf("%d streams, %v", s.fetches.Load(), err)
	}
	if _, _, err := testBoard(testFleet(1)).install(t.Context(), broken{s, 1 << 10}, s.m); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("streams that never hold a chunk: %v", err)
	}
}

func TestWriteFaults(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	b := testBoard(testFleet(1), "write-error")
	if _, done, err := b.install(t.Context(), s, s.m); !errors.Is(err, unix.EIO) || b.bootable() || done > s.m.RawSize/2 || s.fetches.Load() != 1 {
		t.Errorf("a broken disk: %d bytes done, %d streams, %v", done, s.fetches.Load(), err)
	}
	b = testBoard(testFleet(1), "write-reboot")
	ctx, stop := context.WithCancelCause(t.Context())
	b.stop = stop
	if _, _, err := b.install(ctx, s, s.m); !errors.Is(err, errReset) || !errors.Is(context.Cause(ctx), errReset) {
		t.Errorf("a reboot: %v, %v", err, context.Cause(ctx))
	}
	if b.node.Status().State != sim.StateWriting || b.fault().WriteReboot {
		t.Errorf("after a reboot in mid-write: %+v", b.node.Status())
	}
	b.node.hw.Disk = 1 << 20
	if _, _, err := b.install(t.Context(), s, s.m); !errors.Is(err, image.ErrTooSmall) {
		t.Errorf("a small disk: %v", err)
	}
}

// The disk's speed, its slowness and the fleet's scale decide how long a write takes.
func TestWriteSpeed(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for _, test := range []struct {
		name   string
		speed  sim.Size
		scale  float64
		faults []string
		want   time.Duration
	}{
		{"fast", 14 << 20, 1, nil, time.Second},
		{"scaled", 14 << 20, 10, nil, 10 * time.Second},
		{"slow", 14 << 20, 1, []string{"write-slow"}, 100 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := testBoard(testFleet(test.scale), test.faults...)
			b.node.hw.Speed = test.speed
			began := time.Now()
			_, _, err := b.install(t.Context(), s, s.m)
			if took := time.Since(began); err != nil || took < test.want || took > test.want+test.want/4 {
				t.Errorf("%s: took %s, want about %s; %v", test.name, took, test.want, err)
			}
		})
	}
}
