package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// makeDisk makes a disk with its first contents, unless it is there already: a server keeps its disks from one `up` to the next.
func makeDisk(path string, d Disk) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	err = f.Truncate(int64(d.Size))
	if err == nil {
		err = fill(f, d)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("make disk %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

func fill(f *os.File, d Disk) error {
	switch d.Fill {
	case FillNone:
		return nil
	case FillRandom:
		return fillRandom(f, int64(d.Size), mib)
	case FillDirty:
		return fillRandom(f, int64(d.Size), dirtyBytes)
	case FillGPT:
		return fillGPT(f, int64(d.Size))
	default:
		return fillFrom(f, d)
	}
}

// dirtyBytes is how much of each MiB a disk filled with FillDirty has.
const dirtyBytes = 64 << 10

// fillRandom writes random bytes over the first part of each MiB, the same for each disk of a size.
func fillRandom(f *os.File, size, part int64) error {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(size))
	random := rand.NewChaCha8(seed)
	buf := make([]byte, part)
	for at := int64(0); at < size; at += mib {
		n := min(part, size-at)
		_, _ = random.Read(buf[:n]) // never fails
		if _, err := f.WriteAt(buf[:n], at); err != nil {
			return err
		}
	}
	return nil
}

// fillFrom copies a disk image, keeping its holes.
func fillFrom(f *os.File, d Disk) error {
	src, err := os.Open(d.Fill)
	if err != nil {
		return err
	}
	defer src.Close()
	buf := make([]byte, mib)
	zero := make([]byte, mib)
	for at := int64(0); ; {
		n, err := io.ReadFull(src, buf)
		if at+int64(n) > int64(d.Size) {
			return fmt.Errorf("%s is larger than the disk of %d bytes", filepath.Base(d.Fill), d.Size)
		}
		if n > 0 && string(buf[:n]) != string(zero[:n]) {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// oldName is the label of the one partition on a disk filled with FillGPT.
const oldName = "OLD-SYSTEM"

// fillGPT writes a partition table with one partition over the whole disk, and a few bytes into it: the remains of
// another system, with both copies of the table.
func fillGPT(f *os.File, size int64) error {
	old := []Partition{{Type: TypeLinux(), ID: [16]byte([]byte("old partition id")), Name: oldName, First: 2048, Last: uint64(size/sector) - gptTableLen - 2}}
	if err := WriteGPT(f, size, [16]byte([]byte("old disk of sim.")), old); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte("the old system's data"), 2048*sector)
	return err
}
