package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestProbe looks at file systems that their own tools made.
func TestProbe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, label string
		size        int64
	}{
		{fsBtrfs, "OEM", 128 * mib}, {fsExt4, "OEM", 8 * mib}, {fsVFAT, "OEM", 8 * mib}, {fsVFAT, "OEM", 64 * mib},
		{fsExt4, "sixteen-letters!", 8 * mib},
	} {
		file := makeFilesystem(t, c.kind, c.label, c.size)
		if c.kind == fsVFAT && c.size == 64*mib {
			run(t, "", "mkfs.vfat", "-F", "32", "-n", c.label, file)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		kind, label := probe(f)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if kind != c.kind || label != c.label {
			t.Errorf("%s %q of %d MiB is taken for %s %q", c.kind, c.label, c.size/mib, kind, label)
		}
	}
	for name, data := range map[string][]byte{"nothing": nil, "zeroes": make([]byte, 1<<20), "short": make([]byte, 1100)} {
		if kind, label := probe(bytes.NewReader(data)); kind != "" || label != "" {
			t.Errorf("%s: %s %q", name, kind, label)
		}
	}
}

func FuzzProbe(f *testing.F) {
	ext := make([]byte, 4096)
	ext[0x438], ext[0x439] = 0x53, 0xef
	fat := make([]byte, 2048)
	fat[510], fat[511] = 0x55, 0xaa
	copy(fat[54:], "FAT16   ")
	f.Add(ext)
	f.Add(fat)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if kind, label := probe(bytes.NewReader(b)); kind == "" && label != "" || len(label) > 256 {
			t.Errorf("%q %q", kind, label)
		}
	})
}

func TestPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, text := range []string{"first, and longer", "second"} {
		if err := place(dir, configName, []byte(text)); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, configName)
		b, err := os.ReadFile(name)
		if err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := place(filepath.Join(dir, "missing"), configName, nil); err == nil {
		t.Error("no directory gave no error")
	}
}
