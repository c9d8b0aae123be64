package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/audit"
)

// Whatever is in the file, it can be opened, and orders go on to be kept.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "audit.log")
	l, err := audit.Open(f.Context(), path, audit.Options{})
	if err != nil {
		f.Fatal(err)
	}
	for range 2 {
		if _, err := l.Append(api.AuditEntry{Order: "POST /v1/runs", Result: "ok"}); err != nil {
			f.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-10])
	f.Add(append([]byte("\n\n{}\n"), whole...))
	f.Add([]byte(`{"seq":18446744073709551615,"hash":"x"}` + "\n"))
	f.Add([]byte(`,"hash":"`))
	f.Fuzz(func(t *testing.T, in []byte) {
		path := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(path, in, 0o640); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			l, err := audit.Open(t.Context(), path, audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			e, err := l.Append(api.AuditEntry{Order: "POST /v1/runs", Result: "ok"})
			if err != nil {
				t.Fatal(err)
			}
			v, err := l.View(t.Context())
			if n := len(v.Entries); err != nil || n == 0 || v.Entries[n-1].Hash != e.Hash {
				t.Fatalf("the newest entry is not there: %v, %v", v, err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
