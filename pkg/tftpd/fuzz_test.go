package tftpd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzClean: a name either is refused or is one that an fs.FS takes and that stays inside the directory.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"ipxe.efi", "/ipxe.efi", "../x", "a/../../x", `a\b`, "a\x00b", "\xff", "a\xff\xff", ".", "", "a//b", strings.Repeat("a/", 300)} {
		f.Add(s)
	}
	root := f.TempDir()
	if err := os.WriteFile(filepath.Join(root, "inside"), []byte("x"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		name, err := clean(asked)
		if err != nil {
			if !errors.Is(err, ErrName) || name != "" {
				t.Errorf("clean(%q) = %q, %v", asked, name, err)
			}
			return
		}
		if !fs.ValidPath(name) || !filepath.IsLocal(name) || strings.ContainsAny(name, "\\\x00\n") {
			t.Errorf("clean(%q) = %q", asked, name)
		}
		if again, err := clean(name); again != name || err != nil {
			t.Errorf("clean(%q) = %q, and of that %q, %v", asked, name, again, err)
		}
	})
}
