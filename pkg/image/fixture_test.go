package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// noise gives n bytes that do not compress, the same for the same seed.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{seed})
	if _, err := c.Read(b); err != nil {
		panic(err)
	}
	return b
}

// rawImage is an image with all that matters: a signature, data across the first MiB, holes of all sizes, more than a
// chunk of adjacent data, single bytes in zeroes, and an end that is neither a block nor a page.
func rawImage() []byte {
	raw := make([]byte, 21*mib+3*SectorSize)
	copy(raw[510:], "\x55\xaa")
	copy(raw[700*kib:], noise(1, 9*mib)) // across the end of the head, three chunks
	copy(raw[12*mib+5:], "lonely")
	copy(raw[13*mib+HoleSize:], noise(2, HoleSize))
	copy(raw[13*mib+3*HoleSize:], noise(3, 10*kib))
	copy(raw[16*mib:], bytes.Repeat([]byte("compresses well "), 128*kib))
	raw[len(raw)-1] = 7
	return raw
}

// run runs one of the programs that `make deps` installs, with stdin, and gives its output.
func run(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, errs.String())
	}
	return out.Bytes()
}

func openLibrary(t testing.TB) *Library {
	t.Helper()
	l, err := Open(filepath.Join(t.TempDir(), "images"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stored puts raw into a library of its own and gives its manifest and data.
func stored(t testing.TB, raw []byte) (*Manifest, []byte) {
	t.Helper()
	l := openLibrary(t)
	m, err := l.Add(t.Context(), bytes.NewReader(raw), AddOptions{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(l.Dir(m.ID), DataFile))
	if err != nil {
		t.Fatal(err)
	}
	return m, data
}

// memory fetches from a slice.
type memory []byte

func (b memory) Fetch(_ context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b[offset:])), nil
}

// dirtyFile is a regular file of random bytes in the place of a disk.
func dirtyFile(t testing.TB, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, noise(9, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loopDevice makes a block device of a file; it needs root.
func loopDevice(t testing.TB, file string, args ...string) string {
	t.Helper()
	dev := strings.TrimSpace(string(run(t, nil, append([]string{"losetup", "--find", "--show", file}, args...)...)))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("detach %s: %v %s", dev, err, out)
		}
	})
	if slices.Contains(args, "--partscan") {
		nodes(t, filepath.Base(dev))
	}
	return dev
}

// nodes makes the device nodes of a disk's partitions until the end of the test, where nobody else does: the /dev of a
// container is no devtmpfs.
func nodes(t testing.TB, disk string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), " /dev devtmpfs ") {
		return // the kernel makes them
	}
	ctx, cancel := context.WithCancel(context.Background())
	made := map[string]bool{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			found, _ := filepath.Glob("/sys/class/block/" + disk + "p*") // none while there are no partitions
			for _, dir := range found {
				var major, minor uint32
				if b, err := os.ReadFile(filepath.Join(dir, "dev")); err != nil {
					continue
				} else if _, err := fmt.Sscanf(string(b), "%d:%d", &major, &minor); err != nil {
					continue
				}
				node, dev := filepath.Join("/dev", filepath.Base(dir)), unix.Mkdev(major, minor)
				var st unix.Stat_t
				if err := unix.Stat(node, &st); err == nil && st.Rdev != dev {
					_ = os.Remove(node) // the table was read again, and the numbers are others
				}
				if unix.Mknod(node, unix.S_IFBLK|0o600, int(dev)) == nil {
					made[node] = true
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for node := range made {
			if err := os.Remove(node); err != nil {
				t.Error(err)
			}
		}
	})
}

// needRoot says whether loop devices can be made; the same tests run on regular files without it.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
}

// disks are the kinds of targets that a write test runs on.
func eachDisk(t *testing.T, size int, test func(t *testing.T, path string)) {
	t.Helper()
	t.Run("file", func(t *testing.T) { t.Parallel(); test(t, dirtyFile(t, size)) })
	t.Run("block", func(t *testing.T) {
		t.Parallel()
		needRoot(t)
		test(t, loopDevice(t, dirtyFile(t, size)))
	})
	t.Run("block of 4096", func(t *testing.T) {
		t.Parallel()
		needRoot(t)
		test(t, loopDevice(t, dirtyFile(t, size), "--sector-size", "4096"))
	})
}

// openDisk opens a disk exclusively and closes it at the end of the test.
func openDisk(t testing.TB, path string) *Disk {
	t.Helper()
	d, err := OpenDisk(path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return d
}

// onDisk reads a whole disk past the page cache, where that is possible.
func onDisk(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantHeadZero(t testing.TB, path string) {
	t.Helper()
	if b := onDisk(t, path)[:headSize]; !bytes.Equal(b, make([]byte, headSize)) {
		t.Error("the first MiB of the disk is not zero: it may boot")
	}
}

// cutter serves data with ranges like the daemon does, but spoils the first replies.
type cutter struct {
	data []byte
	cuts []int // bytes after which a reply breaks off, one per request

	mu   sync.Mutex
	seen []string
}

func (c *cutter) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

// ServeHTTP implements http.Handler.
func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	n := len(c.seen)
	c.seen = append(c.seen, r.Header.Get("Range"))
	c.mu.Unlock()
	if n < len(c.cuts) {
		w = &brokenWriter{ResponseWriter: w, left: c.cuts[n]}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.data))
}

// brokenWriter drops the connection in mid-reply.
type brokenWriter struct {
	http.ResponseWriter
	left int
}

// Write implements io.Writer.
func (b *brokenWriter) Write(p []byte) (int, error) {
	if len(p) > b.left {
		_, _ = b.ResponseWriter.Write(p[:b.left])
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

func serve(t testing.TB, h http.Handler) *HTTPFetcher {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &HTTPFetcher{Client: s.Client(), URL: s.URL + "/data.zst"}
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
