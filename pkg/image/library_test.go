package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// packedBy compresses with the real program, as one stream and as two streams one after the other.
func packedBy(t *testing.T, raw []byte, args ...string) (one, two []byte) {
	t.Helper()
	half := len(raw) / 2
	return run(t, raw, args...), append(run(t, raw[:half], args...), run(t, raw[half:], args...)...)
}

func TestAddEachFormat(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 5*mib+SectorSize) // small, for bzip2 and xz are slow
	copy(raw[510:], "\x55\xaa")
	copy(raw[2*mib:], noise(1, 300*kib))
	copy(raw[4*mib:], bytes.Repeat([]byte("compresses well "), 32*kib))
	for name, args := range map[string][]string{
		"gzip": {"gzip", "-c"}, "bzip2": {"bzip2", "-c"}, "xz": {"xz", "-c", "-1"}, "zstd": {"zstd", "-c", "-q"},
		"raw": {"cat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := packedBy(t, raw, args...)
			for what, file := range map[string][]byte{"one stream": one, "two streams": two} {
				l := openLibrary(t)
				var read int64
				m, err := l.Add(t.Context(), bytes.NewReader(file), AddOptions{Name: "flatcar", SHA256: strings.ToUpper(digest(file)),
					Progress: func(n int64) { read = n }})
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if m.RawSHA256 != digest(raw) || m.RawSize != int64(len(raw)) || m.Compression != name || len(m.Warnings) != 0 {
					t.Errorf("%s: %+v", what, m)
				}
				if read != int64(len(file)) {
					t.Errorf("%s: progress ended at %d of %d", what, read, len(file))
				}
				if _, err := l.Verify(t.Context(), "flatcar", nil); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// TestAddCutOff has files that end too early, or are damaged, in every format: nothing is kept.
func TestAddCutOff(t *testing.T) {
	t.Parallel()
	raw := noise(8, 256*kib)
	for name, args := range map[string][]string{
		"gzip": {"gzip", "-c"}, "bzip2": {"bzip2", "-c"}, "xz": {"xz", "-c", "-1"}, "zstd": {"zstd", "-c", "-q", "--check"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := run(t, raw, args...)
			flipped := bytes.Clone(file)
			flipped[len(file)/2] ^= 0x10
			for what, tt := range map[string]struct {
				file []byte
				err  string
			}{
				"half":     {file[:len(file)/2], "is cut off after"},
				"end":      {file[:len(file)-3], "is cut off after"},
				"damaged":  {flipped, "the " + name + " data is corrupt near byte"},
				"trailing": {append(bytes.Clone(file), "trailing garbage, more than any magic"...), "the " + name + " data is corrupt near byte"},
			} {
				l := openLibrary(t)
				_, err := l.Add(t.Context(), bytes.NewReader(tt.file), AddOptions{})
				var bad *InputError
				if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.err) || bad.Hint == "" {
					t.Errorf("%s: %v", what, err)
				}
				wantEmpty(t, l)
			}
		})
	}
}

func wantEmpty(t *testing.T, l *Library) {
	t.Helper()
	entries, err := os.ReadDir(l.Dir(""))
	if err != nil || len(entries) != 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	broken := errors.New("cable pulled")
	for name, tt := range map[string]struct {
		r    io.Reader
		o    AddOptions
		is   error
		text string
	}{
		"empty":               {r: strings.NewReader(""), text: "the file is empty"},
		"compressed nothing":  {r: bytes.NewReader(run(t, nil, "gzip", "-c")), text: "the image is empty"},
		"half a sector":       {r: bytes.NewReader(noise(1, 1000)), text: "1000 bytes, which is not a whole number of sectors"},
		"wrong digest":        {r: bytes.NewReader(noise(1, 1024)), o: AddOptions{SHA256: digest(nil)}, is: ErrDigest, text: digest(noise(1, 1024))},
		"no digest":           {r: bytes.NewReader(noise(1, 1024)), o: AddOptions{SHA256: "abc"}, text: "not 64 hex digits"},
		"name with a slash":   {r: bytes.NewReader(noise(1, 1024)), o: AddOptions{Name: "a/b"}, text: `name "a/b"`},
		"name with an escape": {r: bytes.NewReader(noise(1, 1024)), o: AddOptions{Name: "a\x1b[2J"}, text: "control characters"},
		"source fails":        {r: io.MultiReader(bytes.NewReader(noise(1, 1024)), iotest.ErrReader(broken)), is: broken, text: "cable"},
		"source of gzip fails": {r: io.MultiReader(bytes.NewReader(run(t, noise(1, mib), "gzip", "-c")[:mib/2]), iotest.ErrReader(broken)),
			is: broken, text: "cable"},
		"only a magic": {r: strings.NewReader("\x1f\x8b"), text: "the gzip data is cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := openLibrary(t)
			_, err := l.Add(t.Context(), tt.r, tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.text) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v", err)
			}
			wantEmpty(t, l)
		})
	}
}

func TestAddWarns(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]string{
		"QFI\xfb":    "this is a qcow2 file",
		"vhdxfile":   "this is a VHD file",
		"PK\x03\x04": "this is an archive",
		"hello":      "no partition table was found",
	} {
		l := openLibrary(t)
		b := make([]byte, 4096)
		copy(b, head)
		m, err := l.Add(t.Context(), bytes.NewReader(b), AddOptions{})
		if err != nil || len(m.Warnings) != 1 || !strings.HasPrefix(m.Warnings[0], want) {
			t.Errorf("%q: %+v, %v", head, m, err)
		}
	}
}

func TestAddAgainAndNames(t *testing.T) {
	t.Parallel()
	l, ctx := openLibrary(t), t.Context()
	first, err := l.Add(ctx, bytes.NewReader(noise(1, mib)), AddOptions{Name: "os", Now: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Add(ctx, bytes.NewReader(run(t, noise(1, mib), "gzip", "-c")), AddOptions{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	second, err := l.Add(ctx, bytes.NewReader(noise(2, mib)), AddOptions{Name: "os", Now: time.Unix(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	third, err := l.Add(ctx, bytes.NewReader(noise(3, mib)), AddOptions{Now: time.Unix(3, 0)})
	if err != nil || third.Name != third.ID {
		t.Fatalf("%+v, %v", third, err)
	}
	list, err := l.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*Manifest{first, second, third}, list); diff != "" {
		t.Error(diff)
	}
	if _, err := l.Get(ctx, "os"); !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), first.ID+", "+second.ID) {
		t.Errorf("ambiguous: %v", err)
	}
	if err := l.Remove(ctx, "os"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("remove an ambiguous one: %v", err)
	}
	if err := l.Remove(ctx, first.ID); err != nil {
		t.Error(err)
	}
	if m, err := l.Get(ctx, "os"); err != nil || m.ID != second.ID {
		t.Errorf("%+v, %v", m, err)
	}
	for _, name := range []string{"", "nothing", first.ID, "../" + third.ID} {
		if _, err := l.Get(ctx, name); !errors.Is(err, ErrNotFound) {
			t.Errorf("get %q: %v", name, err)
		}
		if err := l.Remove(ctx, name); !errors.Is(err, ErrNotFound) {
			t.Errorf("remove %q: %v", name, err)
		}
	}
}

func TestBrokenImageHidesNoOther(t *testing.T) {
	t.Parallel()
	l, ctx := openLibrary(t), t.Context()
	good, err := l.Add(ctx, bytes.NewReader(noise(1, mib)), AddOptions{Name: "good"})
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef"
	if err := os.Mkdir(l.Dir(id), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.Dir(id), ManifestFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := l.List(ctx)
	if len(list) != 1 || !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), id) {
		t.Errorf("%v, %v", list, err)
	}
	if m, err := l.Get(ctx, "good"); err != nil || m.ID != good.ID {
		t.Errorf("%+v, %v", m, err)
	}
	if err := l.Remove(ctx, id); err != nil {
		t.Errorf("remove the broken one: %v", err)
	}
	if _, err := l.List(ctx); err != nil {
		t.Error(err)
	}
}

func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string, m *Manifest) error{
		"a flipped bit": func(dir string, m *Manifest) error {
			path := filepath.Join(dir, DataFile)
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o600)
		},
		"a cut file": func(dir string, m *Manifest) error {
			return os.Truncate(filepath.Join(dir, DataFile), m.StoredSize()-1)
		},
		"a hole that is none": func(dir string, m *Manifest) error {
			m.Chunks[len(m.Chunks)-1].Offset -= HoleSize
			if err := os.Remove(filepath.Join(dir, ManifestFile)); err != nil {
				return err
			}
			return writeManifest(dir, m)
		},
	} {
		l := openLibrary(t)
		m, err := l.Add(t.Context(), bytes.NewReader(rawImage()), AddOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(l.Dir(m.ID), m); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Verify(t.Context(), m.ID, nil); !errors.Is(err, ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenSweeps(t *testing.T) {
	t.Parallel()
	l := openLibrary(t)
	dead, alive := l.Dir(tempPrefix+"dead"), ""
	if err := os.MkdirAll(filepath.Join(dead, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	alive, lock, err := l.tempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := Open(l.Dir("")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed Add left is there: %v", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("what a running Add fills is gone: %v", err)
	}
}

// endless gives zeroes for ever, and ends the context after a while.
type endless struct {
	left int
	end  func()
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left -= len(p); e.left < 0 {
		e.end()
	}
	return len(p), nil
}

func TestAddCancelled(t *testing.T) {
	t.Parallel()
	l := openLibrary(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := l.Add(ctx, &endless{left: 10 * mib, end: cancel}, AddOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	wantEmpty(t, l)
}

func TestAddHoles(t *testing.T) {
	t.Parallel()
	m, _ := stored(t, rawImage())
	var got [][2]int64
	for _, c := range m.Chunks {
		got = append(got, [2]int64{c.Offset / kib, c.Length / kib})
	}
	want := [][2]int64{
		{0, 64}, {640, 4096}, {640 + 4096, 4096}, {640 + 2*4096, 9*1024 + 60 - 2*4096 + 4}, // 700 KiB is not on the grid
		{12 * 1024, 64}, {13*1024 + 64, 64}, {13*1024 + 3*64, 64}, {16 * 1024, 2048}, {21 * 1024, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
