package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"unicode/utf16"
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

// Layout of the old system's partition table, UEFI 2.10 5.3.
const (
	sector      = 512
	gptEntries  = 128
	gptEntryLen = 128
	gptTableLen = gptEntries * gptEntryLen / sector
	// oldName is the label of the one partition on a disk filled with FillGPT.
	oldName = "OLD-SYSTEM"
)

// fillGPT writes a partition table with one partition over the whole disk, and a few bytes into it: the remains of
// another system, with both copies of the table.
func fillGPT(f *os.File, size int64) error {
	last := uint64(size/sector) - 1
	table := make([]byte, gptEntries*gptEntryLen)
	// "Linux filesystem data", 0FC63DAF-8483-4772-8E79-3D69D8477DE4, in its mixed-endian form.
	copy(table, []byte{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4})
	copy(table[16:], "old partition id")
	binary.LittleEndian.PutUint64(table[32:], 2048)
	binary.LittleEndian.PutUint64(table[40:], last-gptTableLen-1)
	for i, u := range utf16.Encode([]rune(oldName)) {
		binary.LittleEndian.PutUint16(table[56+2*i:], u)
	}
	header := func(self, other, entries uint64) []byte {
		h := make([]byte, sector)
		copy(h, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
		binary.LittleEndian.PutUint64(h[24:], self)
		binary.LittleEndian.PutUint64(h[32:], other)
		binary.LittleEndian.PutUint64(h[40:], 2+gptTableLen)
		binary.LittleEndian.PutUint64(h[48:], last-gptTableLen-1)
		copy(h[56:], "old disk of sim.")
		binary.LittleEndian.PutUint64(h[72:], entries)
		binary.LittleEndian.PutUint32(h[80:], gptEntries)
		binary.LittleEndian.PutUint32(h[84:], gptEntryLen)
		binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(table))
		binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		return h
	}
	mbr := make([]byte, sector)
	copy(mbr[446:], []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	mbr[510], mbr[511] = 0x55, 0xaa
	for _, w := range []struct {
		at   uint64
		data []byte
	}{
		{0, mbr},
		{1, header(1, last, 2)},
		{2, table},
		{2048, []byte("the old system's data")},
		{last - gptTableLen, table},
		{last, header(last, 1, last-gptTableLen)},
	} {
		if _, err := f.WriteAt(w.data, int64(w.at)*sector); err != nil {
			return err
		}
	}
	return nil
}
