package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/store"
)

// smallDisk mounts a disk of size bytes, for root.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk takes all room that is left, and gives the file.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return name
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "2m")
	path := filepath.Join(dir, "state.db")
	s := open(t, path, store.Options{})
	put := func(key string, size int) error {
		_, err := s.Txn(t.Context(), nil, store.Put(key, make([]byte, size)))
		return err
	}
	if err := put("node/a", 10); err != nil {
		t.Fatal(err)
	}
	watch, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ballast := fillDisk(t, dir)
	for round := range 5 {
		if err := put("node/a", 500_000); !errors.Is(err, store.ErrNoSpace) {
			t.Fatalf("round %d: on a full disk a transaction gave %v, want ErrNoSpace", round, err)
		}
		if a, err := s.Get(t.Context(), "node/a"); err != nil || len(a.Value) != 10 {
			t.Fatalf("round %d: the old value has %d bytes, %v", round, len(a.Value), err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := put("node/a", 20_000); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if c := <-watch; len(c.Value) != 20_000 {
		t.Errorf("a write that failed was published: %d bytes", len(c.Value))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, store.Options{})
	if a, err := s.Get(t.Context(), "node/a"); err != nil || len(a.Value) != 20_000 {
		t.Errorf("opened again it has %d bytes, %v", len(a.Value), err)
	}
}

// One order that is too big for the disk does not take down those that were queued with it.
func TestDiskFullForOne(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "1m")
	s := open(t, filepath.Join(dir, "state.db"), store.Options{})
	const writers = 16
	errs := make(chan error, writers)
	big := make(chan error, 1)
	for i := range writers {
		go func() {
			_, err := s.Txn(t.Context(), nil, store.Put(string(rune('a'+i)), []byte("small")))
			errs <- err
		}()
	}
	go func() {
		_, err := s.Txn(t.Context(), nil, store.Put("big1", make([]byte, 900_000)), store.Put("big2", make([]byte, 900_000)))
		big <- err
	}()
	for range writers {
		if err := <-errs; err != nil {
			t.Errorf("a small one gave %v", err)
		}
	}
	if err := <-big; !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("the big one gave %v, want ErrNoSpace", err)
	}
	kvs, err := s.List(t.Context(), "")
	if err != nil || len(kvs) != writers {
		t.Errorf("%d keys, %v", len(kvs), err)
	}
}

func TestOpenOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "256k")
	ballast := fillDisk(t, dir)
	path := filepath.Join(dir, "state.db")
	if _, err := store.Open(path, store.Options{}); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("got %v, want ErrNoSpace", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	open(t, path, store.Options{})
}
