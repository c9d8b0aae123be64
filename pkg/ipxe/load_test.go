package ipxe

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/pxe"
)

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// payload makes a directory of programs: one of them is an absolute link, as Debian's ipxe.efi is.
func payload(t *testing.T) string {
	t.Helper()
	dir, boot := t.TempDir(), t.TempDir()
	write(t, dir, Undionly, "undionly")
	write(t, dir, "readme.txt", "not a program")
	write(t, boot, "ipxe.efi", "ipxe")
	if err := os.Symlink(filepath.Join(boot, "ipxe.efi"), filepath.Join(dir, IPXEEFI)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func sums(files map[string]string) string {
	var b strings.Builder
	for n, c := range files {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256([]byte(c)), n)
	}
	return b.String()
}

func TestLoadPrograms(t *testing.T) {
	t.Parallel()
	src, dst := payload(t), filepath.Join(t.TempDir(), "state", "programs")
	write(t, src, "snp-custom.efi", "arm")
	p, err := LoadPrograms(src, dst, File{Name: SNPARM64, Path: filepath.Join(src, "snp-custom.efi")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{IPXEEFI, SNPARM64, Undionly}, p.Names()); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	for name, want := range map[string]string{Undionly: "undionly", IPXEEFI: "ipxe", SNPARM64: "arm"} {
		if got, err := fs.ReadFile(p, name); err != nil || string(got) != want || !p.Has(name) {
			t.Errorf("%s = %q, %v", name, got, err)
		}
		if info, err := os.Lstat(filepath.Join(dst, name)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s in the state directory: %v, %v", name, info, err)
		}
	}
	// What is in the directory by accident is not served.
	write(t, dst, "secret", "x")
	for _, name := range []string{"secret", "readme.txt", SNPOnly, "..", "../programs/" + Undionly, ""} {
		if _, err := p.Open(name); !errors.Is(err, fs.ErrNotExist) || p.Has(name) {
			t.Errorf("Open(%q) = %v", name, err)
		}
	}
	// A newer program replaces the old one; nothing of the copying stays behind.
	write(t, src, Undionly, "newer")
	if p, err = LoadPrograms(src, dst); err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(p, Undionly); string(got) != "newer" {
		t.Errorf("after an update: %q, %v", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(dst, ".*")); len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLoadProgramsChecksDigests(t *testing.T) {
	t.Parallel()
	good := map[string]string{Undionly: "undionly", IPXEEFI: "ipxe"}
	right := sums(good) // once: the order of the lines is the map's
	for _, c := range []struct {
		name, sums string
		want       error
		says       string
	}{
		{"right", right, nil, ""},
		{"binary mode and upper case", strings.ReplaceAll(strings.ToUpper(right[:64])+right[64:], "  ", " *"), nil, ""},
		{"one byte off", sums(map[string]string{Undionly: "undionlx", IPXEEFI: "ipxe"}), ErrDigest, Undionly},
		{"listed and missing", sums(map[string]string{"grubx64.efi": "x"}), fs.ErrNotExist, "grubx64.efi"},
		{"a path", sums(map[string]string{"../" + Undionly: "undionly"}), nil, "line 1"},
		{"no digest", "hello\n", nil, "line 1"},
	} {
		src := payload(t)
		write(t, src, "SHA256SUMS", c.sums)
		_, err := LoadPrograms(src, t.TempDir())
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || (c.want != nil && !errors.Is(err, c.want))):
			t.Errorf("%s: %v, want one with %q", c.name, err, c.says)
		}
	}
	// A digest of the payload does not bind a program that the settings name in its place.
	src := payload(t)
	write(t, src, "SHA256SUMS", sums(good))
	write(t, src, "other", "newer")
	p, err := LoadPrograms(src, t.TempDir(), File{Name: IPXEEFI, Path: filepath.Join(src, "other")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(p, IPXEEFI); string(got) != "newer" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLoadProgramsNeedsTheCommonOnes(t *testing.T) {
	t.Parallel()
	src := payload(t)
	if err := os.Remove(filepath.Join(src, IPXEEFI)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPrograms(src, t.TempDir()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), IPXEEFI) {
		t.Errorf("without %s: %v", IPXEEFI, err)
	}
	src = payload(t)
	if _, err := LoadPrograms(src, t.TempDir(), File{Name: "a/b", Path: src}); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a name with a slash: %v", err)
	}
	if _, err := LoadPrograms(src, t.TempDir(), File{Name: "x.efi", Path: src}); err == nil {
		t.Error("a directory was taken for a program")
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		arch         pxe.Arch
		plain, chain string
	}{
		{pxe.BIOS, Undionly, Undionly},
		{pxe.EFIX64, IPXEEFI, SNPOnly},
		{pxe.EFIBC, IPXEEFI, SNPOnly},
		{pxe.EFIX64HTTP, IPXEEFI, SNPOnly},
		{pxe.EFIARM64, SNPARM64, SNPARM64},
		{pxe.EFIARM64HTTP, SNPARM64, SNPARM64},
		{pxe.EFIIA32, "", ""},
		{pxe.EFIARM32, "", ""},
		{pxe.Arch(999), "", ""},
	} {
		plain, ok := Program(c.arch, false)
		chain, ok2 := Program(c.arch, true)
		if plain != c.plain || chain != c.chain || ok != (c.plain != "") || ok2 != ok {
			t.Errorf("%s: %q %v, %q %v", c.arch, plain, ok, chain, ok2)
		}
	}
}

func TestGRUBForESP(t *testing.T) {
	t.Parallel()
	const guid = "12345678-9ABC-def0-1122-334455667788"
	image := []byte("MZ search --set=root " + ESPPlaceholder + "\x00rest")
	got, err := GRUBForESP(image, guid)
	if want := "MZ search --set=root 12345678-9abc-def0-1122-334455667788\x00rest"; string(got) != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if !strings.Contains(string(image), ESPPlaceholder) {
		t.Error("the payload's image was changed")
	}
	for _, bad := range []string{"", "12345678", guid + "0", "12345678-9ABC-def0-1122-33445566778g", "123456789-ABC-def0-1122-334455667788", "' --hint; halt; 00000000000000000000"} {
		if _, err := GRUBForESP(image, bad); !errors.Is(err, ErrGUID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("MZ"), append(image, ESPPlaceholder...)} {
		if _, err := GRUBForESP(bad, guid); !errors.Is(err, ErrPlaceholder) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
