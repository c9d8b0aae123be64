package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDiskZero(t *testing.T) {
	t.Parallel()
	const size = 4 * mib
	eachDisk(t, size, func(t *testing.T, path string) {
		d := openDisk(t, path)
		want := noise(9, size)
		for _, r := range [][2]int64{
			{0, 0}, {0, 4096}, {1 * mib, mib}, {2*mib + 512, 100}, {2*mib + 1000, 70000}, {3 * mib, 512}, {size - 512, 512},
			{3*mib + 4095, 2}, {3*mib + 8191, 4098},
		} {
			if err := d.Zero(t.Context(), r[0], r[1]); err != nil {
				t.Fatalf("%v: %v", r, err)
			}
			clear(want[r[0] : r[0]+r[1]])
		}
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := onDisk(t, path); !bytes.Equal(got, want) {
			t.Errorf("differs at byte %d", firstDifference(got, want))
		}
		for _, r := range [][2]int64{{-1, 1}, {0, -1}, {size, 1}, {1, size}, {1 << 62, 1 << 62}} {
			if err := d.Zero(t.Context(), r[0], r[1]); err == nil {
				t.Errorf("zeroed %v", r)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.Zero(ctx, 0, size); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestOpenDiskRefuses(t *testing.T) {
	t.Parallel()
	if _, err := OpenDisk(filepath.Join(t.TempDir(), "none"), true); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	for _, path := range []string{"/dev/null", t.TempDir()} {
		if _, err := OpenDisk(path, true); err == nil || !strings.Contains(err.Error(), "neither a block device nor a file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestOpenDiskInUse has a disk that something else holds, and one that is mounted.
func TestOpenDiskInUse(t *testing.T) {
	t.Parallel()
	needRoot(t)
	file := dirtyFile(t, 8*mib)
	run(t, nil, "mkfs.ext4", "-q", "-F", file)
	dev := loopDevice(t, file)
	d := openDisk(t, dev)
	if d.Size() != 8*mib || d.SectorSize() != 512 || d.Path() != dev {
		t.Errorf("%d bytes in sectors of %d", d.Size(), d.SectorSize())
	}
	if _, err := OpenDisk(dev, true); !errors.Is(err, ErrBusy) {
		t.Errorf("held: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run(t, nil, "mount", dev, dir)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	if _, err := OpenDisk(dev, true); !errors.Is(err, ErrBusy) {
		t.Errorf("mounted: %v", err)
	}
}

func TestOpenDiskReadOnly(t *testing.T) {
	t.Parallel()
	needRoot(t)
	if _, err := OpenDisk(loopDevice(t, dirtyFile(t, mib), "--read-only"), true); err == nil {
		t.Error("opened for writing")
	}
}

// TestRereadPartitions writes an image with partitions on a disk without them: they appear with their device nodes.
func TestRereadPartitions(t *testing.T) {
	t.Parallel()
	needRoot(t)
	raw := partitioned(t)
	m, data := stored(t, raw)
	dev := loopDevice(t, dirtyFile(t, 24*mib), "--partscan")
	d := openDisk(t, dev)
	if _, err := os.Stat(PartitionPath(dev, 9)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("partition 9 is there before: %v", err)
	}
	if _, err := Write(t.Context(), memory(data), m, d, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := d.RereadPartitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	part, err := OpenDisk(PartitionPath(dev, 9), false)
	if err != nil {
		t.Fatal(err)
	}
	if part.Size() != 4*mib {
		t.Errorf("partition 9 has %d bytes", part.Size())
	}
	if err := part.Close(); err != nil {
		t.Error(err)
	}
	if guid, ok, err := ESP(d, d.Size()); guid != guidESP || !ok || err != nil {
		t.Errorf("ESP %q %t %v", guid, ok, err)
	}
}

// TestRereadPartitionsBusy has a partition that stays in use: the error says what is the matter.
func TestRereadPartitionsBusy(t *testing.T) {
	t.Parallel()
	needRoot(t)
	file := dirtyFile(t, 20*mib)
	if err := os.WriteFile(file, partitioned(t), 0o600); err != nil {
		t.Fatal(err)
	}
	dev := loopDevice(t, file, "--partscan")
	d, err := OpenDisk(dev, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.RereadPartitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	part, err := OpenDisk(PartitionPath(dev, 9), true)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.RereadPartitions(ctx); err == nil || !strings.Contains(err.Error(), "resource busy") {
		t.Errorf("%v", err)
	}
}

func TestRereadPartitionsOfFile(t *testing.T) {
	t.Parallel()
	if err := openDisk(t, dirtyFile(t, mib)).RereadPartitions(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPartitionPath(t *testing.T) {
	t.Parallel()
	for disk, want := range map[string]string{
		"/dev/vda": "/dev/vda9", "/dev/nvme0n1": "/dev/nvme0n1p9", "/dev/loop12": "/dev/loop12p9", "/dev/sdaa": "/dev/sdaa9",
	} {
		if got := PartitionPath(disk, 9); got != want {
			t.Errorf("%s: %s", disk, got)
		}
	}
}
