package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/racker-project/racker/pkg/store"
	"github.com/racker-project/racker/pkg/store/storetest"
)

// open gives a store in a file of its own.
func open(t testing.TB, path string, opt store.Options) store.Store {
	t.Helper()
	s, err := store.Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := store.Open(filepath.Join(t.TempDir(), "state.db"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestOpenKeepsState(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "dir", "state.db")
	s := open(t, path, store.Options{})
	if _, err := s.Txn(t.Context(), nil, store.Put("a", []byte("1"))); err != nil {
		t.Fatal(err)
	}
	before, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, store.Options{})
	after, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("after opening again (-before +after):\n%s", d)
	}
	if _, err := s.Txn(t.Context(), nil, store.Put("b", nil)); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Get(t.Context(), "b"); err != nil || b.Rev <= after.Rev {
		t.Errorf("the next revision is %d after %d (%v)", b.Rev, after.Rev, err)
	}
	for p, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v (%v), want %v", p, info.Mode(), err, want)
		}
	}
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	first := open(t, path, store.Options{})
	began := time.Now()
	_, err := store.Open(path, store.Options{LockTimeout: 50 * time.Millisecond})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("opening twice gave %v, want ErrLocked with the file's name", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, store.Options{})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("somebody else's"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no state\n", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path string
		want error
	}{
		"another program's": {foreign, store.ErrCorrupt},
		"a text file":       {text, store.ErrCorrupt},
		"a directory":       {dir, nil},
		"below a file":      {filepath.Join(text, "state.db"), nil},
		"a device":          {os.DevNull, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(tt.path, store.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.path) {
				t.Fatalf("got %v, want an error with the file's name", err)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want it to match %v", err, tt.want)
			}
		})
	}
}

func BenchmarkTxn(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "state.db"), store.Options{})
			value := make([]byte, 1024)
			b.SetParallelism(writers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Txn(b.Context(), nil, store.Put("node/x", value)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
