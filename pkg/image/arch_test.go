package image

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// gptImage makes a raw image with an EFI system partition of that size that holds the named files, and partitions OEM and
// ROOT; a size of 0 MiB leaves the partition empty.
func gptImage(t testing.TB, espMiB int, mkfs []string, files ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	raw, esp := filepath.Join(dir, "raw"), filepath.Join(dir, "esp")
	if espMiB > 0 {
		run(t, nil, "truncate", "--size="+strconv.Itoa(espMiB)+"M", esp)
		run(t, nil, append(append([]string{"mformat"}, mkfs...), "-i", esp, "::")...)
		run(t, nil, "mmd", "-i", esp, "::/EFI", "::/EFI/boot")
		for i := range 40 { // more than a cluster of entries
			run(t, []byte("x"), "mcopy", "-i", esp, "-", "::/EFI/boot/a rather long name of a file "+strconv.Itoa(i))
		}
		for _, f := range files {
			run(t, []byte("x"), "mcopy", "-i", esp, "-", "::/EFI/boot/"+f)
		}
	}
	run(t, nil, "truncate", "--size="+strconv.Itoa(espMiB+8)+"M", raw)
	run(t, nil, "sgdisk", "--clear", "--new=1:0:+"+strconv.Itoa(max(1, espMiB))+"M", "--typecode=1:ef00", "--change-name=1:EFI-SYSTEM",
		"--new=6:0:+1M", "--change-name=6:OEM", "--new=9:0:+1M", "--change-name=9:ROOT", raw)
	b, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if espMiB > 0 {
		fs, err := os.ReadFile(esp)
		if err != nil {
			t.Fatal(err)
		}
		copy(b[1<<20:], fs)
	}
	return b
}

func TestArch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mib   int
		mkfs  []string
		files []string
		want  string
	}{
		"FAT32":          {40, []string{"-F"}, []string{"grubx64.efi", "bootx64.efi"}, "amd64"},
		"FAT16":          {17, nil, []string{"BOOTAA64.EFI"}, "arm64"},
		"FAT12":          {2, nil, []string{"bootx64.efi"}, "amd64"},
		"both":           {2, nil, []string{"bootx64.efi", "bootaa64.efi"}, ""},
		"another":        {2, nil, []string{"bootriscv64.efi"}, ""},
		"no file system": {0, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := gptImage(t, tt.mib, tt.mkfs, tt.files...)
			parts, err := ReadPartitions(bytes.NewReader(raw), int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			if got := findArch(bytes.NewReader(raw), parts); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A file system of whatever content ends the search, and nothing worse.
func FuzzArch(f *testing.F) {
	for _, mib := range []int{2, 17} {
		f.Add(gptImage(f, mib, nil, "bootx64.efi")[1<<20 : (1+mib)<<20])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		part := []Partition{{Type: TypeESP, First: 0, Last: int64(len(b))/512 - 1, Sector: 512}}
		if got := findArch(r, part); got != "" && got != "amd64" && got != "arm64" {
			t.Errorf("arch %q", got)
		}
	})
}
