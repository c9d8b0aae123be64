package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/api"
)

// An order that finds no room is refused, leaves nothing behind, and the next goes on with the chain.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := open(t, filepath.Join(dir, "audit.log"), 10_000)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 24<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := 0
	var err error
	for err == nil {
		if _, err = l.Append(api.AuditEntry{Order: "POST /v1/runs", Result: "ok"}); err == nil {
			kept++
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := l.Append(api.AuditEntry{Order: "POST /v1/runs", Result: "ok"}); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("again: %v", err)
		}
	}
	if v := read(t, l); v.Broken != "" || len(v.Entries) != kept {
		t.Errorf("%d entries of %d, %q", len(v.Entries), kept, v.Broken)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 10)
	if v := read(t, l); v.Broken != "" || len(v.Entries) != kept+10 {
		t.Errorf("with room again: %d entries of %d, %q", len(v.Entries), kept+10, v.Broken)
	}
}
