package store_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/store"
)

const pageSize = 4096

// history gives a state file after each of its last two transactions, with what is in it.
func history(t *testing.T) (files [2][]byte, contents [2][]store.KV) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, sample(t, 80), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, store.Options{})
	for i := range files {
		// Both entries grow alike: what is the same difference in two entries must not hide itself.
		v := bytes.Repeat([]byte{byte('a' + i)}, 200)
		if _, err := s.Txn(t.Context(), nil, store.Put("node/000050", v), store.Put("node/000051", v)); err != nil {
			t.Fatal(err)
		}
		var err error
		if contents[i], err = s.List(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if files[i], err = os.ReadFile(path); err != nil { // nobody writes to it now
			t.Fatal(err)
		}
	}
	return files, contents
}

// look opens a damaged file: it is refused by name, or what is in it is exactly one of allowed. It gives the index, -1 for
// refused, and what was logged.
func look(t *testing.T, path string, file []byte, allowed ...[]store.KV) (int, string) {
	t.Helper()
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	s, err := store.Open(path, store.Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Fatalf("it gave %v, want ErrCorrupt with the file's name", err)
		}
		return -1, ""
	}
	got, err := s.List(t.Context(), "")
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(allowed, func(want []store.KV) bool { return slices.EqualFunc(want, got, sameKV) })
	if i < 0 {
		t.Fatalf("it opened with other contents:\n%s", cmp.Diff(allowed[0], got))
	}
	return i, logged.String()
}

func sameKV(a, b store.KV) bool {
	return a.Key == b.Key && a.Rev == b.Rev && bytes.Equal(a.Value, b.Value)
}

// One byte that is wrong, anywhere, never changes what is read.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	files, contents := history(t)
	path := filepath.Join(t.TempDir(), "state.db")
	refused, older := 0, 0
	for at := 0; at < len(files[1]); at++ {
		if at%211 != 0 && (at >= 2*pageSize || at%pageSize >= 90) { // of the meta pages, every byte of the fields
			continue
		}
		b := bytes.Clone(files[1])
		b[at] ^= byte(1 << (at % 8))
		i, logged := look(t, path, b, contents[1], contents[0])
		switch {
		case i < 0:
			refused++
		case i == 1:
			older++
			fallthrough
		case at%pageSize >= 16 && at%pageSize < 80 && at < 2*pageSize: // inside of a meta page's fields
			if at >= 2*pageSize || !strings.Contains(logged, "meta pages") {
				t.Fatalf("byte %d: it opened one transaction back, or without a meta page, and did not say so: %q", at, logged)
			}
		}
	}
	if refused < 200 {
		t.Errorf("only %d of the bytes mattered", refused)
	}
	t.Logf("%d refused, %d opened one transaction back, said so", refused, older)
}

// Pages that are zero, in another's place, or of the transaction before (a write that the disk lost) are noticed.
func TestWrongPages(t *testing.T) {
	t.Parallel()
	files, contents := history(t)
	if len(files[0]) != len(files[1]) {
		t.Fatal("the sample grew")
	}
	path := filepath.Join(t.TempDir(), "state.db")
	pages := len(files[1]) / pageSize
	page := func(b []byte, n int) []byte { return b[n*pageSize : (n+1)*pageSize] }
	refused := map[string]int{}
	for n := range pages {
		for kind, with := range map[string][]byte{
			"zero": make([]byte, pageSize), "ones": bytes.Repeat([]byte{0xff}, pageSize),
			"a neighbour's": page(files[1], (n+1)%pages), "an older": page(files[0], n),
		} {
			b := bytes.Clone(files[1])
			copy(page(b, n), with)
			if bytes.Equal(b, files[1]) {
				continue
			}
			allowed := contents[:1:1]
			allowed = append([][]store.KV{contents[1]}, allowed...)
			if n >= 2 {
				allowed = allowed[:1]
			}
			if i, _ := look(t, path, b, allowed...); i < 0 {
				refused[kind]++
			}
		}
	}
	for _, kind := range []string{"zero", "ones", "a neighbour's", "an older"} {
		if refused[kind] == 0 {
			t.Errorf("%s page was never noticed", kind)
		}
	}
	t.Log(refused, "of", pages, "pages")
}

// The last transaction was written up to some page: the meta page, which comes last, decides.
func TestHalfWritten(t *testing.T) {
	t.Parallel()
	files, contents := history(t)
	path := filepath.Join(t.TempDir(), "state.db")
	for n := 2; n <= len(files[1])/pageSize; n++ {
		b := append(bytes.Clone(files[0][:2*pageSize]), files[1][2*pageSize:n*pageSize]...)
		b = append(b, files[0][n*pageSize:]...)
		if i, _ := look(t, path, b, contents[0]); i < 0 {
			t.Fatalf("with %d pages of a transaction that was not committed it was refused", n)
		}
	}
}

// A file that loses its end while it is in use is an error, not the end of the process.
func TestTruncatedInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, sample(t, 500), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, store.Options{})
	if err := os.Truncate(path, 3*pageSize); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context(), ""); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("list gave %v, want ErrCorrupt", err)
	}
	for range 2 { // nor does the second writer wait for the first
		if _, err := s.Txn(t.Context(), nil, store.Put("node/000001", nil)); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("a transaction gave %v, want ErrCorrupt", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := store.Open(path, store.Options{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("opened again it gave %v, want ErrCorrupt", err)
	}
}
