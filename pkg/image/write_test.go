package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWrite compares the whole range of the image with what is on a disk that held random bytes before.
func TestWrite(t *testing.T) {
	t.Parallel()
	raw := rawImage()
	m, data := stored(t, raw)
	const size = 26 * mib
	eachDisk(t, size, func(t *testing.T, path string) {
		d := openDisk(t, path)
		var last int64
		stats, err := Write(t.Context(), serve(t, &cutter{data: data}), m, d, Options{Progress: func(done, total int64) {
			if done < last || total != m.RawSize {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		}})
		if err != nil {
			t.Fatal(err)
		}
		got := onDisk(t, path)
		if !bytes.Equal(got[:len(raw)], raw) {
			t.Errorf("the disk differs from the image at byte %d", firstDifference(got, raw))
		}
		before := noise(9, size)
		if !bytes.Equal(got[len(raw):size-tailSize], before[len(raw):size-tailSize]) {
			t.Error("bytes between the image and the last MiB were written")
		}
		if !bytes.Equal(got[size-tailSize:], make([]byte, tailSize)) {
			t.Error("the last MiB is not zero")
		}
		if last != m.RawSize || stats.Written != m.UsedSize() || stats.Fetched != m.StoredSize() || stats.Retries != 0 {
			t.Errorf("progress ended at %d, %+v", last, stats)
		}
	})
}

func firstDifference(a, b []byte) int {
	for i := range b {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func TestWriteSmallImages(t *testing.T) {
	t.Parallel()
	for _, size := range []int{512, 4096, mib - 512, mib, mib + 512} {
		for name, raw := range map[string][]byte{"used": noise(4, size), "empty": make([]byte, size)} {
			m, data := stored(t, raw)
			for _, disk := range []int{size, size + 512, size + 2*mib} {
				path := dirtyFile(t, disk)
				if _, err := Write(t.Context(), memory(data), m, openDisk(t, path), Options{}); err != nil {
					t.Fatalf("%s image of %d bytes: %v", name, size, err)
				}
				got := onDisk(t, path)
				tail := max(size, disk-tailSize)
				if !bytes.Equal(got[:size], raw) || !bytes.Equal(got[tail:], make([]byte, disk-tail)) {
					t.Errorf("%s image of %d bytes on a disk of %d: wrong bytes", name, size, disk)
				}
			}
		}
	}
}

// TestWriteResumes cuts the stream at arbitrary points and expects requests for the chunk that was under way.
func TestWriteResumes(t *testing.T) {
	t.Parallel()
	raw := rawImage()
	m, data := stored(t, raw)
	cuts := []int{0, 1, int(m.Chunks[0].Size), int(m.Chunks[0].Size) - 1, len(data) - 1}
	for range 2 {
		cuts = append(cuts, rand.IntN(len(data)))
	}
	t.Logf("cuts %v", cuts)
	for _, cut := range cuts {
		c := &cutter{data: data, cuts: []int{cut}}
		path := dirtyFile(t, 22*mib)
		stats, err := Write(t.Context(), serve(t, c), m, openDisk(t, path), Options{RetryDelay: time.Millisecond})
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
		if !bytes.Equal(onDisk(t, path)[:len(raw)], raw) {
			t.Errorf("cut after %d bytes: the disk differs", cut)
		}
		if len(c.requests()) != 2 || stats.Retries != 1 {
			t.Errorf("cut after %d bytes: requests %q, %+v", cut, c.requests(), stats)
		}
	}
}

// TestWriteManyCuts has more cuts than retries, each after some progress.
func TestWriteManyCuts(t *testing.T) {
	t.Parallel()
	raw := noise(5, 10*ChunkSize)
	m, data := stored(t, raw)
	c := &cutter{data: data, cuts: slices.Repeat([]int{ChunkSize + ChunkSize/2}, 9)}
	path := dirtyFile(t, len(raw))
	if _, err := Write(t.Context(), serve(t, c), m, openDisk(t, path), Options{Retries: 2, RetryDelay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(onDisk(t, path), raw) || len(c.requests()) != 10 {
		t.Errorf("%d requests", len(c.requests()))
	}
}

func TestWriteGivesUp(t *testing.T) {
	t.Parallel()
	m, data := stored(t, rawImage())
	c := &cutter{data: data, cuts: slices.Repeat([]int{10}, 50)}
	path := dirtyFile(t, 22*mib)
	_, err := Write(t.Context(), serve(t, c), m, openDisk(t, path), Options{Retries: 3, RetryDelay: time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "chunk 0 at offset 0, after 3 retries: ") || len(c.requests()) != 4 {
		t.Errorf("%d requests, %v", len(c.requests()), err)
	}
	wantHeadZero(t, path)
}

// TestWriteBadChunk has a chunk that is wrong each time: nothing of it is written, and the disk does not boot.
func TestWriteBadChunk(t *testing.T) {
	t.Parallel()
	raw := rawImage()
	for name, spoil := range map[string]func(*Manifest, []byte) int{
		"wrong byte in the frame": func(m *Manifest, data []byte) int {
			data[m.Chunks[2].Stored+m.Chunks[2].Size/2] ^= 1
			return 2
		},
		"frame of zeroes": func(m *Manifest, data []byte) int {
			c := m.Chunks[1]
			clear(data[c.Stored : c.Stored+c.Size])
			return 1
		},
		"another valid frame": func(m *Manifest, data []byte) int {
			m.Chunks[3].SHA256 = m.Chunks[2].SHA256
			return 3
		},
		"longer than it says": func(m *Manifest, _ []byte) int {
			m.Chunks[2].Length -= chunkAlign
			return 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, data := stored(t, raw)
			bad := m.Chunks[spoil(m, data)]
			path := dirtyFile(t, 22*mib)
			_, err := Write(t.Context(), memory(data), m, openDisk(t, path), Options{Retries: 2, RetryDelay: time.Millisecond})
			if !errors.Is(err, ErrDigest) || !strings.Contains(err.Error(), "after 2 retries") {
				t.Errorf("%v", err)
			}
			wantHeadZero(t, path)
			from := max(bad.Offset, headSize)
			if got := onDisk(t, path)[from : bad.Offset+bad.Length]; !bytes.Equal(got, noise(9, 22*mib)[from:bad.Offset+bad.Length]) {
				t.Error("a part of the wrong chunk is on the disk")
			}
		})
	}
}

// onceBad spoils one byte in the first reply only, as a bad memory module on the way does.
type onceBad struct {
	memory
	at   int64
	used sync.Once
}

func (o *onceBad) Fetch(ctx context.Context, offset int64) (io.ReadCloser, error) {
	body, err := o.memory.Fetch(ctx, offset)
	o.used.Do(func() {
		b := bytes.Clone(o.memory[offset:])
		b[o.at-offset] ^= 0x40
		body = io.NopCloser(bytes.NewReader(b))
	})
	return body, err
}

func TestWriteRepairsBadChunk(t *testing.T) {
	t.Parallel()
	raw := rawImage()
	m, data := stored(t, raw)
	for _, i := range []int{0, 2, len(m.Chunks) - 1} {
		c := m.Chunks[i]
		path := dirtyFile(t, 22*mib)
		f := &onceBad{memory: data, at: c.Stored + c.Size/2}
		stats, err := Write(t.Context(), f, m, openDisk(t, path), Options{RetryDelay: time.Millisecond})
		if err != nil || stats.Retries != 1 || !bytes.Equal(onDisk(t, path)[:len(raw)], raw) {
			t.Errorf("chunk %d: %+v, %v", i, stats, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	m, data := stored(t, noise(6, 2*mib))
	path := dirtyFile(t, 2*mib-512)
	before := onDisk(t, path)
	_, err := Write(t.Context(), memory(data), m, openDisk(t, path), Options{})
	if !errors.Is(err, ErrTooSmall) || !strings.Contains(err.Error(), "the disk has 2096640 bytes, the image 2097152") {
		t.Errorf("too small: %v", err)
	}
	m.Chunks[0].Offset = -4096
	if _, err := Write(t.Context(), memory(data), m, openDisk(t, path), Options{}); !errors.Is(err, ErrManifest) {
		t.Errorf("inconsistent: %v", err)
	}
	if !bytes.Equal(before, onDisk(t, path)) {
		t.Error("the disk was written")
	}
}

// failing is a disk that fails at one operation.
type failing struct {
	*Disk
	write, zero int64 // offset from which writes, or zeroing, fail; 0 is never
	syncs       int   // the sync that fails, counted from 1
	count       int
}

var errDisk = errors.New("medium error")

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	if f.write != 0 && off+int64(len(p)) > f.write {
		return 0, errDisk
	}
	return f.Disk.WriteAt(p, off)
}

func (f *failing) Zero(ctx context.Context, off, n int64) error {
	if f.zero != 0 && off <= f.zero && f.zero < off+n {
		return errDisk
	}
	return f.Disk.Zero(ctx, off, n)
}

func (f *failing) Sync() error {
	if f.count++; f.count == f.syncs {
		return errDisk
	}
	return f.Disk.Sync()
}

func TestWriteOnFailingDisk(t *testing.T) {
	t.Parallel()
	m, data := stored(t, rawImage())
	for name, f := range map[string]failing{
		"write":          {write: 5 * mib},
		"zero":           {zero: 14 * mib},
		"zero the tail":  {zero: 22*mib - 1},
		"sync of clear":  {syncs: 1},
		"sync of chunks": {syncs: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := dirtyFile(t, 22*mib)
			f.Disk = openDisk(t, path)
			if _, err := Write(t.Context(), memory(data), m, &f, Options{}); !errors.Is(err, errDisk) {
				t.Errorf("%v", err)
			}
			wantHeadZero(t, path)
		})
	}
}

func TestWriteCancelled(t *testing.T) {
	t.Parallel()
	m, data := stored(t, rawImage())
	path := dirtyFile(t, 22*mib)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Write(ctx, memory(data), m, openDisk(t, path), Options{Progress: func(done, _ int64) {
		if done > 3*mib {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	wantHeadZero(t, path)
}

func TestHTTPFetcher(t *testing.T) {
	t.Parallel()
	data := noise(7, 100*kib)
	hang := make(chan struct{})
	defer close(hang)
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		err     string
	}{
		{"range", (&cutter{data: data}).ServeHTTP, ""},
		{"no ranges", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }, ""},
		{"no ranges, too short", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data[:10]) }, "EOF"},
		{"another range", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-99/102400")
			w.WriteHeader(http.StatusPartialContent)
		}, `range "bytes 0-99/102400"`},
		{"no Content-Range", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) }, `range ""`},
		{"gone", http.NotFound, "the server answers 404 Not Found"},
		{"no reply", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, "no data arrives for 50ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := serve(t, tt.handler)
			if tt.name == "no reply" {
				f.Stall = 50 * time.Millisecond
			}
			body, err := f.Fetch(t.Context(), 12345)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "from byte 12345") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(body)
			if err := errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, data[12345:]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// TestHTTPFetcherStalls has a server that stops in mid-reply without closing the connection.
func TestHTTPFetcherStalls(t *testing.T) {
	t.Parallel()
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("some"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	f.Stall = 50 * time.Millisecond
	body, err := f.Fetch(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if string(got) != "some" || !errors.Is(err, ErrStalled) {
		t.Errorf("%q, %v", got, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkWrite writes an image, half noise and half holes, over HTTP onto a file.
func BenchmarkWrite(b *testing.B) {
	raw := make([]byte, 64*mib)
	copy(raw, noise(1, 16*mib))
	copy(raw[40*mib:], bytes.Repeat([]byte("0123456789abcdef"), mib))
	m, data := stored(b, raw)
	f := serve(b, &cutter{data: data})
	path := dirtyFile(b, len(raw))
	d, err := OpenDisk(path, true)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := Write(b.Context(), f, m, d, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		b.Fatal(err)
	}
}
