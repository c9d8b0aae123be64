package hwinfo

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mib = 1 << 20

// run runs a real program, of the packages that `make deps` installs, on a file.
func runTool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// made gives the content of a file of size bytes after a program worked on it.
func made(t *testing.T, size int64, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fs")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	runTool(t, append(args, path)...)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestContentsOfRealFileSystems reads what the real programs make.
func TestContentsOfRealFileSystems(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		size int64
		args []string
		want []string
	}{
		{8 * mib, []string{"mkfs.ext4", "-q", "-L", "ROOT"}, []string{"ext4 ROOT"}},
		{8 * mib, []string{"mkfs.ext3", "-q"}, []string{"ext3"}},
		{8 * mib, []string{"mkfs.ext2", "-q", "-L", "boot"}, []string{"ext2 boot"}},
		{120 * mib, []string{"mkfs.btrfs", "-q", "-L", "OEM"}, []string{"btrfs OEM"}},
		{40 * mib, []string{"mkfs.vfat", "-F", "32", "-n", "EFI-SYSTEM"}, []string{"vfat EFI-SYSTEM"}},
		{16 * mib, []string{"mkfs.vfat", "-F", "16"}, []string{"vfat"}},
		{2 * mib, []string{"mkfs.vfat", "-F", "12", "-n", "DOS"}, []string{"vfat DOS"}},
		{2 * mib, []string{"mkswap", "-q", "-L", "sw"}, []string{"swap sw"}},
		{2 * mib, []string{"true"}, nil},
		{0, []string{"true"}, nil},
		{512, []string{"true"}, nil},
	} {
		name := strings.Join(tt.args, " ")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := made(t, tt.size, tt.args...)
			got, err := Contents(t.Context(), bytes.NewReader(b), int64(len(b)), 512)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// at puts strings at offsets of an empty megabyte.
func at(where map[int]string) []byte {
	b := make([]byte, mib)
	for off, s := range where {
		copy(b[off:], s)
	}
	return b
}

// TestSignatures has those whose programs are not at hand; the offsets are those of blkid(8)'s documentation and of the
// formats themselves.
func TestSignatures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		b    []byte
		want string
	}{
		"xfs":               {at(map[int]string{0: "XFSB", 108: "data"}), "xfs data"},
		"LVM2":              {at(map[int]string{512: "LABELONE", 536: "LVM2 001"}), "LVM2 physical volume"},
		"LUKS1":             {at(map[int]string{0: "LUKS\xba\xbe\x00\x01"}), "crypto_LUKS"},
		"LUKS2":             {at(map[int]string{0: "LUKS\xba\xbe\x00\x02", 24: "secret"}), "crypto_LUKS secret"},
		"squashfs":          {at(map[int]string{0: "hsqs"}), "squashfs"},
		"ntfs":              {at(map[int]string{3: "NTFS    ", 510: "\x55\xaa"}), "ntfs"},
		"md 1.2":            {at(map[int]string{4096: mdMagic + "\x01", 4096 + 32: "host:0"}), "mdraid member host:0"},
		"md 1.1":            {at(map[int]string{0: mdMagic + "\x01", 32: "host:1"}), "mdraid member host:1"},
		"md 1.0":            {at(map[int]string{mib - 8192: mdMagic + "\x01", mib - 8192 + 32: "host:2"}), "mdraid member host:2"},
		"md 0.90":           {at(map[int]string{mib - 65536: mdMagic, mib - 65536 + 32: "x"}), "mdraid member"},
		"md over ext4":      {at(map[int]string{4096: mdMagic + "\x01", 0x438: "\x53\xef"}), "mdraid member"},
		"label not printed": {at(map[int]string{0: "XFSB", 108: "a\x1b[2J\xff"}), "xfs a [2J"},
	} {
		got, err := Contents(t.Context(), bytes.NewReader(tt.b), int64(len(tt.b)), 512)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// gptDisk lets sgdisk write a partition table onto a file and puts file systems into partitions by number.
func gptDisk(t *testing.T, size int64, args []string, into map[int][]byte) []byte {
	t.Helper()
	b := made(t, size, append([]string{"sgdisk"}, args...)...)
	tab, err := readTable(bytes.NewReader(b), int64(len(b)), 512)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tab.parts {
		if fs, ok := into[p.number]; ok && copy(b[p.offset:p.offset+p.size], fs) < len(fs) {
			t.Fatalf("partition %d is too small", p.number)
		}
	}
	return b
}

func TestContentsOfDisks(t *testing.T) {
	t.Parallel()
	ext4 := made(t, 8*mib, "mkfs.ext4", "-q", "-L", "ROOT")
	plain := made(t, 8*mib, "mkfs.ext4", "-q")
	vfat := made(t, 40*mib, "mkfs.vfat", "-F", "32", "-n", "EFI-SYSTEM")
	mbr := make([]byte, 20*mib)
	copy(mbr[446:], []byte{0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 64, 0, 0})
	copy(mbr[510:], "\x55\xaa")
	copy(mbr[mib:], plain)
	for name, tt := range map[string]struct {
		b    []byte
		want []string
	}{
		"Flatcar": {gptDisk(t, 80*mib, []string{"-n", "1:0:+40M", "-t", "1:ef00", "-c", "1:EFI-SYSTEM", "-n", "2:0:+1M",
			"-t", "2:ef02", "-c", "2:BIOS-BOOT", "-n", "3:0:+1M", "-c", "3:USR-A", "-u", "3:7130c94a-213a-4e5a-8e26-6cce9662f132",
			"-n", "6:0:+1M", "-c", "6:OEM", "-n", "9:0:+10M", "-c", "9:ROOT"}, map[int][]byte{1: vfat, 9: ext4}),
			[]string{"gpt", "vfat EFI-SYSTEM", "partition BIOS-BOOT", "partition USR-A", "partition OEM", "ext4 ROOT", "OS: Flatcar"}},
		"the test OS": {gptDisk(t, 80*mib, []string{"-n", "1:0:+40M", "-t", "1:ef00", "-c", "1:EFI-SYSTEM", "-n", "6:0:+1M",
			"-c", "6:OEM", "-n", "9:0:+10M", "-c", "9:ROOT"}, map[int][]byte{1: vfat, 9: ext4}),
			[]string{"gpt", "vfat EFI-SYSTEM", "partition OEM", "ext4 ROOT", "OS: laid out like Flatcar"}},
		"Debian": {gptDisk(t, 80*mib, []string{"-n", "1:0:+40M", "-t", "1:ef00", "-n", "2:0:+10M"}, map[int][]byte{1: vfat, 2: plain}),
			[]string{"gpt", "vfat EFI-SYSTEM", "ext4", "OS: has an EFI system partition and a root file system (ext4)"}},
		"Windows": {gptDisk(t, 80*mib, []string{"-n", "1:0:+40M", "-t", "1:ef00", "-n", "2:0:+1M", "-t", "2:0c01", "-c", "2:MSR"}, nil),
			[]string{"gpt", "partition MSR", "OS: Windows"}},
		"data": {gptDisk(t, 20*mib, []string{"-n", "1:0:+10M", "-c", "1:data"}, map[int][]byte{1: plain}),
			[]string{"gpt", "ext4 data", "OS: may be on a partition with ext4"}},
		"label unlike name": {gptDisk(t, 20*mib, []string{"-n", "1:0:+10M", "-t", "1:0700", "-c", "1:x"}, map[int][]byte{1: ext4}),
			[]string{"gpt", "ext4 ROOT (partition x)", "OS: may be on a partition with ext4"}},
		"empty table": {gptDisk(t, 20*mib, []string{"-o"}, nil), []string{"gpt"}},
		"MBR":         {mbr, []string{"mbr", "ext4", "OS: has an active partition and a root file system (ext4)"}},
	} {
		got, err := Contents(t.Context(), bytes.NewReader(tt.b), int64(len(tt.b)), 512)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestContentsInTree(t *testing.T) {
	t.Parallel()
	tr := newTree(t, "q35.sysfs")
	f := tr.device("vdb", 64*mib)
	if _, err := f.WriteAt([]byte("XFSB"), 0); err != nil {
		t.Fatal(err)
	}
	disks, err := tr.reader().Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"xfs"}, find(t, disks, "vdb").Contents); diff != "" {
		t.Error(diff)
	}
	if got := find(t, disks, "vda").Contents; len(got) != 1 || !strings.HasPrefix(got[0], "unreadable: ") {
		t.Errorf("a disk without a device node: %q", got)
	}
}

func FuzzContents(f *testing.F) {
	f.Add([]byte{}, int64(512), int64(512))
	f.Add(at(map[int]string{0: "XFSB"})[:1024], int64(1024), int64(512))
	f.Add(at(map[int]string{510: "\x55\xaa", 446: "\x80"})[:1024], int64(mib), int64(512))
	gpt := at(map[int]string{512: "EFI PART", 1024: "\x28\x73\x2a\xc1", 1024 + 32: "\x10", 1024 + 40: "\x20"})[:4096]
	binary.LittleEndian.PutUint64(gpt[512+72:], 2)
	binary.LittleEndian.PutUint32(gpt[512+80:], 128)
	binary.LittleEndian.PutUint32(gpt[512+84:], 128)
	f.Add(gpt, int64(mib), int64(512))
	f.Add(gpt, int64(-1), int64(4096))
	f.Fuzz(func(t *testing.T, b []byte, size, sector int64) {
		if sector != 4096 {
			sector = 512
		}
		lines, err := Contents(t.Context(), bytes.NewReader(b), size, sector)
		if err != nil && len(lines) == 0 && bytes.HasPrefix(b, []byte("XFSB")) && size >= 4 && len(b) >= 1024 {
			t.Errorf("xfs is not seen: %v", err)
		}
		for _, l := range lines {
			if strings.ContainsAny(l, "\n\x1b\x00") {
				t.Errorf("line %q", l)
			}
		}
	})
}

func FuzzPages(f *testing.F) {
	f.Add([]byte("\x00\x80\x00\x04S001"))
	f.Add([]byte("\x00\x83\x00\x0c\x01\x03\x00\x08\x50\x00\xc5\x00\xa1\xb2\xc3\xd4"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := pageSerial(b); strings.ContainsAny(s, "\n\x00") || s != strings.TrimSpace(s) {
			t.Errorf("serial %q", s)
		}
		if w := pageWWN(b); w != "" && !strings.HasPrefix(w, "0x") && !strings.HasPrefix(w, "eui.") {
			t.Errorf("WWN %q", w)
		}
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"\x00\x80\x00\x06 S001 ":   "S001",
		"\x00\x80\x00\xffS001":     "S001", // cut off
		"\x00\x83\x00\x04S001":     "",
		"\x00\x80":                 "",
		"\x00\x80\x00\x03\x00\xff": "",
	} {
		if got := pageSerial([]byte(page)); got != want {
			t.Errorf("serial of %q: %q", page, got)
		}
	}
	naa := "\x01\x03\x00\x08\x50\x00\xc5\x00\xa1\xb2\xc3\xd4"
	for page, want := range map[string]string{
		"\x00\x83\x00\x0c" + naa: "0x5000c500a1b2c3d4",
		"\x00\x83\x00\x18\x01\x02\x00\x08\x00\x25\x38\x5b\x71\xb0\xa3\xc1" + naa: "0x5000c500a1b2c3d4", // NAA before EUI-64
		"\x00\x83\x00\x0c\x01\x02\x00\x08\x00\x25\x38\x5b\x71\xb0\xa3\xc1":       "eui.0025385b71b0a3c1",
		"\x00\x83\x00\x0c\x01\x13\x00\x08\x50\x00\xc5\x00\xa1\xb2\xc3\xd4":       "", // of the port
		"\x00\x83\x00\x0c\x02\x01\x00\x08QEMUDISK":                               "", // a vendor's own
		"\x00\x83\x00\x0c\x01\x03\x00\xff\x50\x00\xc5\x00\xa1\xb2\xc3\xd4":       "", // longer than the page
	} {
		if got := pageWWN([]byte(page)); got != want {
			t.Errorf("WWN of %q: %q", page, got)
		}
	}
}
