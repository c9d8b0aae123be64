package sim

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// Layout of a GUID partition table, UEFI 2.10 5.3.
const (
	sector      = 512
	gptEntries  = 128
	gptEntryLen = 128
	gptTableLen = gptEntries * gptEntryLen / sector
	gptNameLen  = 36 // UTF-16 units
)

// Partition is one entry of a GUID partition table; GUIDs are in their mixed-endian form.
type Partition struct {
	Type, ID [16]byte
	Name     string
	// First and Last are blocks of 512 bytes.
	First, Last uint64
}

// TypeLinux is "Linux filesystem data", 0FC63DAF-8483-4772-8E79-3D69D8477DE4.
func TypeLinux() [16]byte {
	return [16]byte{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}
}

// TypeESP is the EFI system partition, C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
func TypeESP() [16]byte {
	return [16]byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
}

// WriteGPT writes a protective MBR and both copies of a partition table for a disk of size bytes.
func WriteGPT(w io.WriterAt, size int64, id [16]byte, parts []Partition) error {
	last := uint64(size/sector) - 1
	table := make([]byte, gptEntries*gptEntryLen)
	for i, p := range parts {
		e := table[i*gptEntryLen : (i+1)*gptEntryLen]
		copy(e, p.Type[:])
		copy(e[16:], p.ID[:])
		binary.LittleEndian.PutUint64(e[32:], p.First)
		binary.LittleEndian.PutUint64(e[40:], p.Last)
		for j, u := range utf16.Encode([]rune(p.Name)) {
			if j < gptNameLen {
				binary.LittleEndian.PutUint16(e[56+2*j:], u)
			}
		}
	}
	mbr := make([]byte, sector)
	copy(mbr[446:], []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	mbr[510], mbr[511] = 0x55, 0xaa
	for _, part := range []struct {
		at   uint64
		data []byte
	}{
		{0, mbr},
		{1, gptHeader(table, id, last, 1, last, 2)},
		{2, table},
		{last - gptTableLen, table},
		{last, gptHeader(table, id, last, last, 1, last-gptTableLen)},
	} {
		if _, err := w.WriteAt(part.data, int64(part.at)*sector); err != nil {
			return fmt.Errorf("write partition table: %w", err)
		}
	}
	return nil
}

// gptHeader makes the header at block self, whose copy is at block other; last is the disk's last block.
func gptHeader(table []byte, id [16]byte, last, self, other, entries uint64) []byte {
	h := make([]byte, sector)
	copy(h, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
	binary.LittleEndian.PutUint64(h[24:], self)
	binary.LittleEndian.PutUint64(h[32:], other)
	binary.LittleEndian.PutUint64(h[40:], 2+gptTableLen)
	binary.LittleEndian.PutUint64(h[48:], last-gptTableLen-1)
	copy(h[56:], id[:])
	binary.LittleEndian.PutUint64(h[72:], entries)
	binary.LittleEndian.PutUint32(h[80:], gptEntries)
	binary.LittleEndian.PutUint32(h[84:], gptEntryLen)
	binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(table))
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	return h
}
