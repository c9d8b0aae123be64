package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/internal/releasetest"
)

// server is where the release server of a test is: in a network namespace of its own, behind a cable.
const server = "10.9.0.2"

// shelf keeps files in memory.
type shelf struct {
	mu   sync.Mutex
	kept []File
	data [][]byte
	fail error
}

// Held implements Keeper.
func (s *shelf) Held(_ context.Context, r Release, primary string) (*api.ImageView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.kept {
		if f.Version == r.Version && f.Arch == r.Arch && f.Signed != nil && f.Signed.Primary == primary {
			return &api.ImageView{Name: f.Name}, nil
		}
	}
	return nil, nil
}

// Keep implements Keeper.
func (s *shelf) Keep(_ context.Context, r io.Reader, f File) (api.ImageView, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return api.ImageView{}, err
	}
	f.Progress(int64(len(b)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return api.ImageView{}, s.fail
	}
	s.kept, s.data = append(s.kept, f), append(s.data, b)
	return api.ImageView{Name: f.Name}, nil
}

// bench is a release server and what pulls from it.
type bench struct {
	t     *testing.T
	net   *nettest.Net
	key   *releasetest.Key
	site  *releasetest.Site
	image []byte
	shelf *shelf
	cfg   Config
	pulls *Pulls
	stop  func()
}

// onBench runs a test with a server that has one release of each architecture, in a network of its own.
func onBench(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	alone(t, f)
}

// alone is onBench for a test that is not parallel.
func alone(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		there := n.NS("server")
		n.Veth(nettest.Nic{Name: "up0", Addrs: []string{"10.9.0.1/24"}}, nettest.Nic{NS: there, Name: "eth0", Addrs: []string{server + "/24"}})
		b := &bench{t: t, net: n, key: vendorKey(t), shelf: &shelf{}, image: make([]byte, 3<<20)}
		for i := range b.image {
			b.image[i] = byte(i * 7 / 3)
		}
		b.site = releasetest.NewSite(t, server+":80")
		b.site.In = func(f func() error) error { return n.In(there, f) }
		b.site.Put("key.asc", b.key.Public())
		b.site.Release(b.key, 1, date(2024, 6, 1), "stable", "4593.2.5", "amd64", b.image)
		b.site.Release(b.key, 1, date(2024, 6, 1), "lts", "4081.3.10", "arm64", b.image[:1<<20])
		b.cfg = Config{
			Dir:     filepath.Join(t.TempDir(), "downloads"),
			Source:  Source{Mirror: b.site.URL("{channel}"), KeyURL: b.site.URL("key.asc"), Fingerprint: b.key.Fingerprint()},
			Web:     Web{Pause: time.Millisecond, Retries: 3, Stall: 10 * time.Second},
			Room:    func(string) (int64, error) { return 1 << 40, nil },
			Explain: func(err error) *api.Error { return &api.Error{Message: err.Error()} },
			Now:     func() time.Time { return date(2026, 11, 21) },
		}
		f(t, b)
	})
}

// start runs the pulls, until stop or the end of the test.
func (b *bench) start() {
	b.t.Helper()
	p, err := NewPulls(b.cfg, b.shelf, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	b.pulls = p
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(b.stop)
}

// until waits for a pull to be as wanted.
func (b *bench) until(id string, as func(v api.PullView) bool) api.PullView {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		v, err := b.pulls.Get(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		if as(v) {
			return v
		}
		if v.State != api.PullRunning || time.Now().After(deadline) {
			b.t.Fatalf("pull: %+v, %+v", v, v.Error)
		}
	}
}

func over(v api.PullView) bool { return v.State != api.PullRunning }

// pull orders and waits for the end.
func (b *bench) pull(o api.ImagePull) api.PullView {
	b.t.Helper()
	v, err := b.pulls.Order(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.until(v.ID, over)
}

// left gives the names of what is in the downloads, without the key.
func (b *bench) left() []string {
	b.t.Helper()
	entries, err := os.ReadDir(b.cfg.Dir)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != "key-"+b.key.Fingerprint()+".asc" {
			out = append(out, e.Name())
		}
	}
	return out
}

// keeps wants exactly one file kept, and this one.
func (b *bench) keeps(data []byte) File {
	b.t.Helper()
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	if len(b.shelf.kept) != 1 || !bytes.Equal(b.shelf.data[0], data) {
		b.t.Fatalf("%d files kept: %+v", len(b.shelf.kept), b.shelf.kept)
	}
	sum := sha256.Sum256(data)
	if f := b.shelf.kept[0]; f.SHA256 != hex.EncodeToString(sum[:]) {
		b.t.Errorf("digest %s", f.SHA256)
	}
	return b.shelf.kept[0]
}

// asked counts the server's answers with that status to requests for images.
func (b *bench) asked(line string) int {
	b.t.Helper()
	n := 0
	for _, l := range b.site.Log() {
		if bytes.Contains([]byte(l), []byte(line)) {
			n++
		}
	}
	return n
}

// parts gives the path of the one download that is under way.
func (b *bench) part() string {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.cfg.Dir, "*"+partEnd))
	if err != nil || len(found) != 1 {
		b.t.Fatalf("parts: %v, %v, of %v", found, err, b.left())
	}
	return found[0]
}

// relay is a server at that address which passes connections on to the site, and cuts each off after that many bytes.
func (b *bench) relay(addr string, after int64) {
	b.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		b.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				to, err := net.Dial("tcp", server+":80")
				if err != nil {
					return
				}
				defer to.Close()
				all.Go(func() {
					_, _ = io.Copy(to, c) // ends with either
					_ = to.Close()        // and so does the other direction
				})
				_, _ = io.CopyN(c, to, after) // that it is cut off is the point
			})
		}
	})
	b.t.Cleanup(func() {
		_ = l.Close() // ends the loop
		all.Wait()
	})
}

func contains(list []string, word string) bool { return slices.Contains(list, word) }
