package sim

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMakeDisk(t *testing.T) {
	const size = 8 * mib
	image := filepath.Join(t.TempDir(), "image")
	content := make([]byte, 3*mib)
	copy(content[2*mib:], "the third MiB")
	if err := os.WriteFile(image, content, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		fill  string
		most  int64 // bytes taken on the host
		check func([]byte) bool
	}{
		{"empty", FillNone, 0, func(b []byte) bool { return !nonZero(b) }},
		{"random", FillRandom, size, func(b []byte) bool { return bytes.Count(b, []byte{0}) < size/128 }},
		{"dirty", FillDirty, size / 8, func(b []byte) bool { return nonZero(b[:dirtyBytes]) && nonZero(b[7*mib:7*mib+dirtyBytes]) }},
		{"gpt", FillGPT, size / 8, func(b []byte) bool { return checkGPT(b) && bytes.Contains(b, []byte("O\x00L\x00D\x00-")) }},
		{"image", image, 2 * mib, func(b []byte) bool { return bytes.Equal(b[:3*mib], content) && !nonZero(b[3*mib:]) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "disk")
			if err := makeDisk(name, Disk{Size: size, Fill: test.fill}); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) != size || !test.check(b) {
				t.Errorf("a disk of %d bytes begins %x", len(b), b[:64])
			}
			st, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if taken := st.Sys().(*syscall.Stat_t).Blocks * 512; taken > test.most+64<<10 {
				t.Errorf("it takes %d bytes, want at most %d", taken, test.most)
			}
		})
	}
}

func TestMakeDiskKeepsWhatIsThere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, []byte("installed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeDisk(name, Disk{Size: mib, Fill: FillRandom}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "installed" {
		t.Errorf("the disk holds %q (%v)", b, err)
	}
}

func TestMakeDiskLeavesNoHalf(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	if err := os.WriteFile(image, bytes.Repeat([]byte("x"), 2*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	for fill, want := range map[string]string{image: "larger than the disk", filepath.Join(dir, "none"): "no such file"} {
		name := filepath.Join(dir, "disk")
		err := makeDisk(name, Disk{Size: mib, Fill: fill})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("half a disk is left: %v", err)
		}
	}
}

func nonZero(b []byte) bool { return bytes.Count(b, []byte{0}) < len(b) }

// checkGPT checks both headers of a partition table, UEFI 2.10 5.3.2: signature, checksums, and that each names the other.
func checkGPT(b []byte) bool {
	last := uint64(len(b)/sector - 1)
	for _, at := range []struct{ self, other uint64 }{{1, last}, {last, 1}} {
		h := bytes.Clone(b[at.self*sector : at.self*sector+92])
		sum := binary.LittleEndian.Uint32(h[16:])
		clear(h[16:20])
		table := b[binary.LittleEndian.Uint64(h[72:])*sector:][:gptEntries*gptEntryLen]
		if string(h[:8]) != "EFI PART" || sum != crc32.ChecksumIEEE(h) ||
			binary.LittleEndian.Uint64(h[24:]) != at.self || binary.LittleEndian.Uint64(h[32:]) != at.other ||
			binary.LittleEndian.Uint32(h[88:]) != crc32.ChecksumIEEE(table) {
			return false
		}
	}
	return b[510] == 0x55 && b[511] == 0xaa
}
