package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	guidESP  = "0fc63daf-1111-4222-8333-444455556666"
	guidRoot = "aabbccdd-0000-4000-8000-000000000001"
)

// partitioned is a disk of 20 MiB with the table that sgdisk makes.
func partitioned(t testing.TB) []byte {
	t.Helper()
	path := dirtyFile(t, 0)
	if err := os.Truncate(path, 20*mib); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "sgdisk", "-n", "1:2048:+2M", "-t", "1:ef00", "-c", "1:EFI-SYSTEM", "-u", "1:"+guidESP,
		"-n", "9:0:+4M", "-c", "9:RÖOT", "-u", "9:"+guidRoot, path)
	return onDisk(t, path)
}

func TestReadPartitions(t *testing.T) {
	t.Parallel()
	disk := partitioned(t)
	got, err := ReadPartitions(bytes.NewReader(disk), int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Partition{
		{Number: 1, Type: TypeESP, GUID: guidESP, Name: "EFI-SYSTEM", First: 2048, Last: 6143, Sector: 512},
		{Number: 9, Type: "0fc63daf-8483-4772-8e79-3d69d8477de4", GUID: guidRoot, Name: "RÖOT", First: 6144, Last: 14335, Sector: 512},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got[1].Offset() != 3*mib || got[1].Size() != 4*mib {
		t.Errorf("offset %d, size %d", got[1].Offset(), got[1].Size())
	}
	guid, ok, err := ESP(bytes.NewReader(disk), int64(len(disk)))
	if guid != guidESP || !ok || err != nil {
		t.Errorf("ESP %q %t %v", guid, ok, err)
	}
}

// sign puts right checksums on a table that a test changed.
func sign(disk []byte) {
	le := binary.LittleEndian
	h := disk[512:1024]
	le.PutUint32(h[88:], crc32.ChecksumIEEE(disk[1024:1024+128*128]))
	clear(h[16:20])
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
}

func TestReadPartitionsRefuses(t *testing.T) {
	t.Parallel()
	whole := partitioned(t)
	le := binary.LittleEndian
	for name, tt := range map[string]struct {
		spoil func(d []byte)
		signs bool
		want  error
	}{
		"no table":                {func(d []byte) { clear(d[512:520]) }, false, ErrNoGPT},
		"checksum of the header":  {func(d []byte) { d[512+60]++ }, false, ErrGPT},
		"checksum of the entries": {func(d []byte) { d[1024+200]++ }, false, ErrGPT},
		"header too long":         {func(d []byte) { le.PutUint32(d[512+12:], 513) }, false, ErrGPT},
		"header too short":        {func(d []byte) { le.PutUint32(d[512+12:], 0) }, false, ErrGPT},
		"a million entries":       {func(d []byte) { le.PutUint32(d[512+80:], 1<<20) }, true, ErrGPT},
		"entries of no size":      {func(d []byte) { le.PutUint32(d[512+84:], 0) }, true, ErrGPT},
		"entries beyond the disk": {func(d []byte) { le.PutUint64(d[512+72:], 1<<60) }, true, ErrGPT},
		"partition beyond":        {func(d []byte) { le.PutUint64(d[1024+40:], 1<<63) }, true, ErrGPT},
		"partition backwards":     {func(d []byte) { le.PutUint64(d[1024+40:], 2047) }, true, ErrGPT},
		"sound":                   {func([]byte) {}, true, nil},
	} {
		disk := bytes.Clone(whole)
		tt.spoil(disk)
		if tt.signs {
			sign(disk)
		}
		if _, err := ReadPartitions(bytes.NewReader(disk), int64(len(disk))); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestESPOfDiskWithout(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string][]byte{"empty": make([]byte, mib), "nothing": nil, "a sector": make([]byte, 512)} {
		if guid, ok, err := ESP(bytes.NewReader(disk), int64(len(disk))); guid != "" || ok || err != nil {
			t.Errorf("%s: %q %t %v", name, guid, ok, err)
		}
	}
	disk := partitioned(t)
	clear(disk[1024 : 1024+128])
	sign(disk)
	if guid, ok, err := ESP(bytes.NewReader(disk), int64(len(disk))); guid != "" || ok || err != nil {
		t.Errorf("no such partition: %q %t %v", guid, ok, err)
	}
	clear(disk[512+16 : 512+20])
	if _, ok, err := ESP(bytes.NewReader(disk), int64(len(disk))); ok || !errors.Is(err, ErrGPT) {
		t.Errorf("damaged: %t %v", ok, err)
	}
}

func FuzzPartitions(f *testing.F) {
	disk := partitioned(f)[:34*512]
	f.Add(disk[512:1024], disk[1024:1024+256], int64(20*mib))
	f.Add([]byte("EFI PART"), []byte{}, int64(2048))
	f.Add(disk[512:1024], []byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, header, entries []byte, size int64) {
		d := make([]byte, 34*512)
		copy(d[512:1024], header)
		copy(d[1024:], entries)
		sign(d) // else no input gets past the checksums
		parts, err := ReadPartitions(bytes.NewReader(d), size)
		if err != nil && len(parts) > 0 {
			t.Errorf("%d partitions and %v", len(parts), err)
		}
		for _, p := range parts {
			if p.First < 0 || p.Last < p.First || p.Offset() < 0 || p.Size() <= 0 || p.Offset()+p.Size() > size {
				t.Errorf("%+v of %d bytes", p, size)
			}
			if !isHex(p.GUID[:8], 8) || len(p.GUID) != 36 {
				t.Errorf("GUID %q", p.GUID)
			}
		}
	})
}

// TestTableSector has images that were made for disks of either kind, on loop devices of these.
func TestTableSector(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for sector, want := range map[string]int64{"512": 0, "4096": 4096} {
		file := dirtyFile(t, 8*mib)
		run(t, nil, "sgdisk", "--clear", "--new=1:0:0", loopDevice(t, file, "--sector-size", sector))
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := stored(t, raw)
		if m.TableSector != want || len(m.Warnings) != 0 {
			t.Errorf("sectors of %s: %d, warnings %q", sector, m.TableSector, m.Warnings)
		}
	}
	if got := tableSector(make([]byte, 100)); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}
