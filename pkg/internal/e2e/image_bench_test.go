package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/image"
)

// Goals of the image benchmarks.
const (
	goalWrite  = 4    // times as fast as curl, lbzip2 and dd
	goalStream = 0.95 // of the bytes per second of nginx with sendfile
)

// What the image of the benchmarks is like: 1 GiB, of which the first part of each region is used.
const (
	benchSize   = 1 << 30
	benchRegion = 64 << 20
	benchUsed   = benchRegion * 2 / 5
	benchRounds = 3
)

// library is an image for the benchmarks, as racker keeps it and as its maker distributes it.
type library struct {
	dir string // of racker's image library
	man *image.Manifest
	raw string // file
	bz2 string // file
}

// newLibrary makes an image of programs and libraries of this machine, which compress as those of any system.
func newLibrary(b *testing.B) *library {
	b.Helper()
	dir := b.TempDir()
	l := &library{dir: filepath.Join(dir, "images"), raw: filepath.Join(dir, "disk.img")}
	l.bz2 = l.raw + ".bz2"
	fillImage(b, l.raw)
	shell(b, "lbzip2 --keep "+l.raw)
	store, err := image.Open(l.dir)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(l.raw)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if l.man, err = store.Add(b.Context(), f, image.AddOptions{Name: "bench"}); err != nil {
		b.Fatal(err)
	}
	return l
}

// fillImage writes the raw image.
func fillImage(b *testing.B, name string) {
	b.Helper()
	out, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if err := out.Truncate(benchSize); err != nil {
		b.Fatal(err)
	}
	at := int64(0)
	full := errors.New("full")
	err = filepath.WalkDir("/usr/lib", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for len(data) > 0 && err == nil {
			if at%benchRegion >= benchUsed {
				at = (at/benchRegion + 1) * benchRegion
			}
			if at >= benchSize {
				return full
			}
			n := min(int64(len(data)), benchUsed-at%benchRegion)
			_, err = out.WriteAt(data[:n], at)
			data, at = data[n:], at+n
		}
		return err
	})
	if !errors.Is(err, full) {
		b.Fatalf("/usr/lib holds too little for an image: %v", err)
	}
}

func shell(b *testing.B, script string) string {
	b.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(b.Context(), "bash", "-c", "set -o pipefail; "+script)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v\n%s", script, err, out.String())
	}
	return out.String()
}

// serve starts racker's HTTP side over the library and gives the URL of the image's data.
func (l *library) serve(b *testing.B) string {
	b.Helper()
	ca, err := bootd.NewAuthority(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	local := netip.MustParseAddr("127.0.0.1")
	leaf, err := ca.Leaf(local, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	srv, err := bootd.New(bootd.Config{
		Addr: local, Certificate: leaf, Drain: time.Second, Assets: map[string]fs.FS{bootd.AreaImages: os.DirFS(l.dir)},
	}, bootd.Handlers{Observer: unobserved{}}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := srv.Listen(ctx); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	port, _ := srv.Ports()
	return fmt.Sprintf("http://127.0.0.1:%d/assets/%s/%s/data.zst", port, bootd.AreaImages, l.man.ID)
}

// unobserved is a bootd.Observer that does not care.
type unobserved struct{}

func (unobserved) Asset(context.Context, bootd.Served) {}

// nginx serves a directory on a free port until the end of the benchmark, as its manual says for large files.
func nginx(b *testing.B, root string) string {
	b.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	config := fmt.Sprintf(`worker_processes auto; daemon off; pid %s/pid; error_log %s/error.log; user root;
events { worker_connections 256; }
http { access_log off; sendfile on; tcp_nopush on; server { listen %s; location / { root %s; } } }
`, dir, dir, at, root)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it ends by the signal
	})
	for begin := time.Now(); ; {
		c, err := net.Dial("tcp4", at)
		if err == nil {
			_ = c.Close()
			return "http://" + at
		}
		if time.Since(begin) > 10*time.Second {
			b.Fatal(err)
		}
	}
}

// randomDisk gives a loop device of a size whose bytes are all random.
func randomDisk(b *testing.B, size int64) (device string, randomise func()) {
	b.Helper()
	name := filepath.Join(b.TempDir(), "disk")
	randomise = func() {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
			err = errors.Join(err, f.Sync(), f.Close())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	randomise()
	device = strings.TrimSpace(shell(b, "losetup --find --show "+name))
	b.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			b.Errorf("detach %s: %v %s", device, err, out)
		}
	})
	return device, randomise
}

// BenchmarkImageWrite has the agent's code fetch and write an image, and in turn what flatcar-install does with the file that
// the maker of the image gives away.
func BenchmarkImageWrite(b *testing.B) {
	rootOnly(b)
	l := newLibrary(b)
	ours, theirs := l.serve(b), nginx(b, filepath.Dir(l.bz2))+"/"+filepath.Base(l.bz2)
	device, randomise := randomDisk(b, benchSize+16<<20)
	for b.Loop() {
		var racker, peer []time.Duration
		for range benchRounds {
			randomise()
			racker = append(racker, timed(b, func() { l.write(b, ours, device) }))
			same(b, l.raw, device)
			randomise()
			peer = append(peer, timed(b, func() {
				shell(b, fmt.Sprintf("curl -sf %s | lbzip2 -cd | dd of=%s bs=1M iflag=fullblock conv=fsync,nocreat status=none", theirs, device))
			}))
			same(b, l.raw, device)
		}
		a, z := median(racker), median(peer)
		fmt.Printf("# image of %d MiB, %d used, %d and %d fetched: racker %.2f s, curl, lbzip2 and dd %.2f s\n", l.man.RawSize>>20, l.man.UsedSize()>>20,
			l.man.StoredSize()>>20, fileSize(b, l.bz2)>>20, a.Seconds(), z.Seconds())
		fmt.Printf("bench: image-write ratio %.2f goal %d\n", z.Seconds()/a.Seconds(), goalWrite)
	}
}

// write is what the agent does with a disk and an image.
func (l *library) write(b *testing.B, url, device string) {
	b.Helper()
	d, err := image.OpenDisk(device, true)
	if err != nil {
		b.Fatal(err)
	}
	_, err = image.Write(b.Context(), &image.HTTPFetcher{URL: url}, l.man, d, image.Options{})
	if err := errors.Join(err, d.Close()); err != nil {
		b.Fatal(err)
	}
}

// same compares what is on a disk with the image.
func same(b *testing.B, raw, device string) {
	b.Helper()
	shell(b, fmt.Sprintf("cmp -n %d %s %s", benchSize, raw, device))
}

func timed(b *testing.B, do func()) time.Duration {
	b.Helper()
	shell(b, "sync")
	began := time.Now()
	do()
	return time.Since(began)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func fileSize(b *testing.B, name string) int64 {
	b.Helper()
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// Clients of the stream benchmark, and how long each measurement takes.
const (
	streamClients = 32
	streamTime    = 4 * time.Second
	streamRounds  = 5
)

// BenchmarkImageStream streams an image's data to many clients, by racker and by nginx in turn.
func BenchmarkImageStream(b *testing.B) {
	l := newLibrary(b)
	ours, theirs := l.serve(b), nginx(b, l.dir)+"/"+l.man.ID+"/data.zst"
	for b.Loop() {
		var ratios []float64
		var racker, peer float64
		for range streamRounds {
			racker, peer = streamed(b, ours), streamed(b, theirs)
			ratios = append(ratios, racker/peer)
		}
		slices.Sort(ratios)
		fmt.Printf("# image stream to %d clients: racker %.0f MB/s, nginx %.0f MB/s in the last of %d rounds\n", streamClients, racker/1e6, peer/1e6, streamRounds)
		fmt.Printf("bench: image-stream ratio %.2f goal %.2f\n", ratios[len(ratios)/2], goalStream)
	}
}

// streamed gives the bytes per second that all clients together got.
func streamed(b *testing.B, url string) float64 {
	b.Helper()
	out := shell(b, fmt.Sprintf("wrk -t 2 -c %d -d %ds --timeout 60s %s", streamClients, int(streamTime.Seconds()), url))
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "Transfer/sec:"); ok {
			return wrkBytes(b, strings.TrimSpace(rest))
		}
	}
	b.Fatalf("wrk says no transfer:\n%s", out)
	return 0
}

// wrkBytes reads a size of wrk's, such as 1.23GB, whose units are powers of 1024.
func wrkBytes(b *testing.B, text string) float64 {
	b.Helper()
	units := []string{"KB", "MB", "GB", "TB"}
	for i, u := range units {
		if number, ok := strings.CutSuffix(text, u); ok {
			f, err := strconv.ParseFloat(number, 64)
			if err != nil {
				b.Fatal(err)
			}
			for range i + 1 {
				f *= 1024
			}
			return f
		}
	}
	b.Fatalf("wrk says %q", text)
	return 0
}
