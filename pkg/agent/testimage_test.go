package agent

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
)

// testImage is an OS image laid out like Flatcar's as far as the agent looks at it, in a library.
type testImage struct {
	raw      string // file
	library  string // directory: ID/data.zst
	manifest *image.Manifest
	oemFirst int64 // bytes at which OEM begins
	oemSize  int64
}

const mib = 1 << 20

// run runs a tool and ends the test when it fails.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/sbin:"+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// makeFilesystem makes a file with a file system of that label.
func makeFilesystem(t *testing.T, kind, label string, size int64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fs")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	switch kind {
	case fsBtrfs:
		run(t, "", "mkfs.btrfs", "-q", "-L", label, file)
	case fsExt4:
		run(t, "", "mkfs.ext4", "-q", "-F", "-L", label, file)
	case fsVFAT:
		run(t, "", "mkfs.vfat", "-n", label, file)
	}
	return file
}

// makeImage makes a disk image with an EFI system partition, an OEM partition of that file system, a partition of random
// bytes and holes, and adds it to a library.
func makeImage(t *testing.T, oem string) *testImage {
	t.Helper()
	oemSize := int64(8 * mib)
	if oem == fsBtrfs {
		oemSize = 128 * mib // as Flatcar's
	}
	im := &testImage{raw: filepath.Join(t.TempDir(), "os.img"), oemFirst: 6 * mib, oemSize: oemSize}
	size := im.oemFirst + oemSize + 10*mib
	out, err := os.Create(im.raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Truncate(size); err != nil {
		t.Fatal(err)
	}
	run(t, "label: gpt\nstart=1MiB, size=4MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=EFI-SYSTEM\n"+
		"start=6MiB, size="+kib(oemSize)+", name=OEM\nsize=8MiB, name=ROOT\n", "sfdisk", "-q", im.raw)
	fill(t, out, 1*mib, makeFilesystem(t, fsVFAT, "EFI", 4*mib))
	fill(t, out, im.oemFirst, makeFilesystem(t, oem, "OEM", oemSize))
	if _, err := io.CopyN(io.NewOffsetWriter(out, im.oemFirst+oemSize+mib), rand.Reader, 4*mib); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	im.library = t.TempDir()
	lib, err := image.Open(im.library)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(im.raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if im.manifest, err = lib.Add(context.Background(), f, image.AddOptions{Name: "test"}); err != nil {
		t.Fatal(err)
	}
	return im
}

func kib(n int64) string { return strconv.FormatInt(n/1024, 10) + "KiB" }

// fill copies a file to a place in the image.
func fill(t *testing.T, out *os.File, at int64, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

// job installs the image.
func (im *testImage) job() *api.Job {
	return &api.Job{
		ID: testJob, Kind: api.JobInstall,
		Steps:  []api.StepKind{api.StepVerify, api.StepDisk, api.StepWrite, api.StepIgnition, api.StepFirmware, api.StepReboot},
		Expect: api.Expect{Where: "node-1 (U7)", PrimaryMAC: testMAC},
		Image: &api.Image{ID: im.manifest.ID, Name: "test", RawSize: im.manifest.RawSize,
			Data: "images/" + im.manifest.ID + "/data.zst"},
		Disk: api.DiskRule{MinSize: im.manifest.MinDisk},
	}
}

// sameAs compares a written disk with the image, except for the file system that took the config.
func (im *testImage) sameAs(t *testing.T, disk string, exceptOEM bool) {
	t.Helper()
	want, err := os.ReadFile(im.raw)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f, got); err != nil {
		t.Fatal(err)
	}
	if exceptOEM {
		clear(want[im.oemFirst : im.oemFirst+im.oemSize])
		clear(got[im.oemFirst : im.oemFirst+im.oemSize])
	}
	if !bytes.Equal(got, want) {
		at := 0
		for got[at] == want[at] {
			at++
		}
		t.Errorf("the disk differs from the image, first at byte %d of %d", at, len(want))
	}
}

// randomFile is a disk with old contents.
func randomFile(t *testing.T, size int64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// fileDisk describes a file as a disk that the rule takes.
func fileDisk(t *testing.T, file string) api.Disk {
	t.Helper()
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return api.Disk{Name: "vda", Path: file, Transport: "virtio", Size: st.Size(), Serial: "DISK1"}
}

func openFile(d api.Disk) (*image.Disk, error) { return image.OpenDisk(d.Path, true) }
