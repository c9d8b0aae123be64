package initrd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestShelf(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	dir := tree.spec.Out
	if all, err := List(dir); err != nil || len(all) != 0 {
		t.Errorf("List of nothing: %v, %v", all, err)
	}
	if _, err := Default(dir); !errors.Is(err, ErrNotFound) {
		t.Errorf("Default of nothing: %v", err)
	}
	a, err := Build(t.Context(), tree.spec)
	if err != nil {
		t.Fatal(err)
	}
	tree.module(t, "drivers/net/e1000.ko", "depends=")
	b, err := Build(t.Context(), tree.spec)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, b.ID, ManifestFile), old, old); err != nil {
		t.Fatal(err)
	}
	all, err := List(dir)
	if err != nil || len(all) != 2 || all[0].ID != b.ID || all[1].ID != a.ID {
		t.Fatalf("List: %+v, %v", all, err)
	}
	for _, m := range []*Microkernel{a, b} {
		if err := SetDefault(dir, m.ID); err != nil {
			t.Fatal(err)
		}
		if got, err := Default(dir); err != nil || got.ID != m.ID {
			t.Errorf("Default: %+v, %v", got, err)
		}
	}
	if err := Remove(dir, b.ID); !errors.Is(err, ErrDefault) {
		t.Errorf("remove the default: %v", err)
	}
	if err := Remove(dir, a.ID); err != nil {
		t.Error(err)
	}
	if _, err := Get(dir, a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of what was removed: %v", err)
	}
	for _, id := range []string{"", "default", "../..", a.ID, "0123456789AB"} {
		if _, err := Get(dir, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q): %v", id, err)
		}
		if err := SetDefault(dir, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("SetDefault(%q): %v", id, err)
		}
		if err := Remove(dir, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Remove(%q): %v", id, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := os.WriteFile(filepath.Join(dir, b.ID, ManifestFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := List(dir); err == nil {
		t.Error("a broken manifest gave no error")
	}
}
