package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf16"
)

// Type GUIDs of partitions, lower case.
const (
	// TypeESP is the EFI system partition; UEFI 2.10, table 5.7.
	TypeESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
)

// Bounds of what a table may ask for; UEFI wants at least 128 entries, Linux reads the same sizes.
const (
	gptHeaderSize  = 92
	gptMaxEntries  = 1024
	gptMaxEntry    = 4096
	gptMaxTable    = 1 << 20
	gptNameLength  = 72
	gptEntryLength = 128
)

// Errors of the reader of partition tables.
var (
	// ErrNoGPT says that there is no GUID partition table.
	ErrNoGPT = errors.New("no GUID partition table")
	// ErrGPT says that there is one, but a damaged one.
	ErrGPT = errors.New("damaged GUID partition table")
)

// Partition is one used entry of a GUID partition table.
type Partition struct {
	Number int    // from 1
	Type   string // type GUID, lower case
	GUID   string // of the partition, lower case
	Name   string
	// First and Last are the first and the last block; Sector is the size of a block in bytes.
	First, Last, Sector int64
}

// Offset is where the partition begins, in bytes.
func (p *Partition) Offset() int64 { return p.First * p.Sector }

// Size is the size of the partition in bytes.
func (p *Partition) Size() int64 { return (p.Last - p.First + 1) * p.Sector }

// ReadPartitions reads the primary GUID partition table of a disk, or of an image, of size bytes, whose sectors have 512
// or 4096 bytes. Both checksums must fit. Its errors match ErrNoGPT, ErrGPT or those of r.
func ReadPartitions(r io.ReaderAt, size int64) ([]Partition, error) {
	for _, sector := range []int64{512, 4096} {
		header := make([]byte, sector)
		if 2*sector > size {
			break
		}
		if _, err := r.ReadAt(header, sector); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the partition table: %w", err)
		}
		if string(header[:8]) == "EFI PART" {
			return readGPT(r, header, sector, size)
		}
	}
	return nil, ErrNoGPT
}

// tableSector gives the size in bytes of the sectors that the partition table at the beginning of an image counts in; 0 for
// 512, which is also what a table without a GUID means.
func tableSector(head []byte) int64 {
	at := func(off int) bool { return len(head) >= off+8 && string(head[off:off+8]) == "EFI PART" }
	if !at(512) && at(4096) {
		return 4096
	}
	return 0
}

// readGPT checks the header, UEFI 2.10 table 5.5, and reads its entries.
func readGPT(r io.ReaderAt, header []byte, sector, size int64) ([]Partition, error) {
	le := binary.LittleEndian
	length := le.Uint32(header[12:])
	if length < gptHeaderSize || int64(length) > sector {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrGPT, length)
	}
	sum := le.Uint32(header[16:])
	copied := bytes.Clone(header[:length])
	clear(copied[16:20])
	if crc32.ChecksumIEEE(copied) != sum {
		return nil, fmt.Errorf("%w: checksum of the header", ErrGPT)
	}
	at, count, entry := le.Uint64(header[72:]), le.Uint32(header[80:]), le.Uint32(header[84:])
	switch {
	case entry < gptEntryLength || entry > gptMaxEntry || entry%8 != 0 || count > gptMaxEntries,
		count*entry > gptMaxTable, int64(count*entry) > size, at < 2, at > uint64((size-int64(count*entry))/sector):
		return nil, fmt.Errorf("%w: %d entries of %d bytes at block %d", ErrGPT, count, entry, at)
	}
	table := make([]byte, count*entry)
	if _, err := r.ReadAt(table, int64(at)*sector); err != nil {
		return nil, fmt.Errorf("read the partition table: %w", err)
	}
	if crc32.ChecksumIEEE(table) != le.Uint32(header[88:]) {
		return nil, fmt.Errorf("%w: checksum of the entries", ErrGPT)
	}
	return parseEntries(table, int(entry), sector, size)
}

// parseEntries reads entries by UEFI 2.10 table 5.6.
func parseEntries(table []byte, entry int, sector, size int64) ([]Partition, error) {
	le := binary.LittleEndian
	var parts []Partition
	for i := 0; (i+1)*entry <= len(table); i++ {
		e := table[i*entry : (i+1)*entry]
		if [16]byte(e[:16]) == [16]byte{} {
			continue
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first > last || last >= uint64(size/sector) {
			return nil, fmt.Errorf("%w: partition %d has blocks %d to %d of %d", ErrGPT, i+1, first, last, size/sector)
		}
		parts = append(parts, Partition{Number: i + 1, Type: guid(e[:16]), GUID: guid(e[16:32]),
			Name: gptName(e[56 : 56+gptNameLength]), First: int64(first), Last: int64(last), Sector: sector})
	}
	return parts, nil
}

// guid prints a GUID, whose first three fields are little-endian; UEFI 2.10, appendix A.
func guid(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// gptName reads UTF-16 up to its end or a zero, and drops what does not print.
func gptName(b []byte) string {
	var u []uint16
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, string(utf16.Decode(u)))
}

// ESP gives the partition GUID, lower case, of the first EFI system partition of a disk or image of size bytes. ok is
// false, without an error, when there is no GUID partition table or no such partition.
func ESP(r io.ReaderAt, size int64) (guid string, ok bool, err error) {
	parts, err := ReadPartitions(r, size)
	if errors.Is(err, ErrNoGPT) {
		return "", false, nil
	}
	for _, p := range parts {
		if p.Type == TypeESP {
			return p.GUID, true, nil
		}
	}
	return "", false, err
}
