package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/racker-project/racker/pkg/store"
)

// sample gives the bytes of a state file with some history: several levels of pages, large values, free pages.
func sample(t testing.TB, keys int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path, store.Options{})
	for round := range 3 {
		var ops []store.Op
		for i := range keys {
			ops = append(ops, store.Put(fmt.Sprintf("node/%06d", i), make([]byte, 100*(round+1))))
		}
		ops = append(ops, store.Put("big", make([]byte, 50_000)))
		if round == 2 {
			ops = append(ops, store.Delete("node/none"))
		}
		if _, err := s.Txn(t.Context(), nil, ops...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// use opens a file that may be damaged; where it opens, reading and writing work without a fault.
func use(t *testing.T, path string) error {
	t.Helper()
	s, err := store.Open(path, store.Options{})
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrSchema) {
			t.Errorf("a damaged file gave %v, want ErrCorrupt", err)
		}
		return err
	}
	if _, err := s.List(t.Context(), ""); err != nil {
		t.Errorf("list: %v", err)
	}
	if _, err := s.Txn(t.Context(), nil, store.Put("node/000001", make([]byte, 300)), store.Delete("big")); err != nil {
		t.Errorf("transaction: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return nil
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	whole := sample(t, 500)
	path := filepath.Join(t.TempDir(), "state.db")
	lost := 0
	for size := 1; size < len(whole); size += 4099 {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if use(t, path) != nil {
			lost++
			continue
		}
		s := open(t, path, store.Options{})
		kvs, err := s.List(t.Context(), "node/")
		if err != nil || len(kvs) != 500 {
			t.Fatalf("cut to %d bytes it opens with %d keys (%v)", size, len(kvs), err)
		}
		_ = s.Close()
	}
	if lost < 30 {
		t.Errorf("only %d of all cuts were noticed", lost)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	whole := sample(t, 500)
	path := filepath.Join(t.TempDir(), "state.db")
	random := rand.New(rand.NewPCG(1, 2))
	noticed := 0
	for range 300 {
		b := append([]byte(nil), whole...)
		page := random.IntN(len(b) / 4096)
		for range 1 + random.IntN(3) { // headers and the first elements decide the most
			b[page*4096+random.IntN(64)] = byte(random.IntN(256))
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if use(t, path) != nil {
			noticed++
		}
	}
	if noticed < 50 {
		t.Errorf("only %d damaged files were noticed", noticed)
	}
}

func FuzzOpen(f *testing.F) {
	whole := sample(f, 60)
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(4096+16), []byte{0xff, 0xff})
	f.Add(uint32(3*4096+8), []byte{2, 0, 255, 255})
	f.Add(uint32(5*4096+16), []byte{0, 0, 0, 0, 255, 255, 255, 255, 1})
	path := filepath.Join(f.TempDir(), "state.db")
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := append([]byte(nil), whole...)
		copy(b[int(at)%len(b):], patch)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = use(t, path)
	})
}
