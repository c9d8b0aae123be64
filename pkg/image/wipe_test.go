package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestWipe makes a disk with several file systems, and wants wipefs and blkid to find nothing on it any more.
func TestWipe(t *testing.T) {
	t.Parallel()
	needRoot(t)
	file := dirtyFile(t, 400*mib)
	run(t, nil, "sgdisk", "--clear", "--new=1:2048:+120M", "--change-name=1:OEM", "--new=2:0:+16M", "--new=3:0:+4M", "--new=9:0:0", "--change-name=9:ROOT", file)
	parts := partitionsOf(t, file)
	part := func(p Partition) string {
		return loopDevice(t, file, "--offset", strconv.FormatInt(p.Offset(), 10), "--sizelimit", strconv.FormatInt(p.Size(), 10))
	}
	signatures := func(dev string) string {
		return strings.Join(strings.Fields(string(run(t, nil, "wipefs", "--noheadings", "--output", "TYPE", dev))), " ")
	}
	for i, args := range [][]string{{"mkfs.btrfs", "-q", "-f", "-L", "OEM"}, {"mkfs.ext4", "-q", "-F"}, {"mkswap", "-q"}, {"mkfs.btrfs", "-q", "-f", "--nodiscard"}} {
		dev := part(parts[i])
		run(t, nil, append(args, dev)...)
		if got := signatures(dev); got == "" {
			t.Fatalf("%v makes nothing that is found", args)
		}
	}
	dev := loopDevice(t, file)
	if got := signatures(dev); !strings.Contains(got, "gpt") {
		t.Fatalf("before: %s", got)
	}
	d, err := OpenDisk(dev, true)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Wipe(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for range 2 { // it may be repeated
		if err := d.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if got := signatures(dev); got != "" {
		t.Errorf("the disk still has %s", got)
	}
	for _, p := range parts { // also for whoever makes the same partitions again
		if got := signatures(part(p)); got != "" {
			t.Errorf("partition %d still has %s", p.Number, got)
		}
	}
	if left := onDisk(t, dev); len(left) != 400*mib || len(bytes.Trim(left[200*mib:201*mib], "\x00")) == 0 {
		t.Error("what is between the signatures was erased, too")
	}
}

func partitionsOf(t *testing.T, file string) []Partition {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parts, err := ReadPartitions(f, 400*mib)
	if err != nil || len(parts) != 4 {
		t.Fatalf("%v, %v", parts, err)
	}
	return parts
}
