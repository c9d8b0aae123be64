package hwinfo

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"unicode/utf16"
)

// Kinds of partition tables.
const (
	tableGPT = "gpt"
	tableMBR = "mbr"
)

// Bounds and sizes of a GPT; UEFI 2.10, tables 5.5 and 5.6.
const (
	maxEntries   = 256 // that are looked at
	minEntrySize = 128
	maxEntrySize = 4096
)

// table is a partition table as far as it tells what is on the disk. Unlike a reader that boots from it, this one does
// not insist on checksums: what is left of an old system is worth naming too.
type table struct {
	kind  string
	parts []part
}

type part struct {
	number       int
	kind         string // type GUID as its bytes lie on the disk, or the MBR type, in hex
	guid         string // as its bytes lie on the disk, in hex
	name         string
	active       bool  // MBR boot flag
	offset, size int64 // bytes
	found        signature
}

func readTable(r io.ReaderAt, size, sector int64) (table, error) {
	head, err := window(r, 0, 2*sector)
	if err != nil || int64(len(head)) < 2*sector {
		return table{}, err
	}
	if string(head[sector:sector+8]) == "EFI PART" {
		return readGPT(r, head[sector:], size, sector)
	}
	if head[510] == 0x55 && head[511] == 0xaa {
		return readMBR(head, size, sector), nil
	}
	return table{}, nil
}

func readGPT(r io.ReaderAt, header []byte, size, sector int64) (table, error) {
	le := binary.LittleEndian
	t := table{kind: tableGPT}
	at, count, entry := le.Uint64(header[72:]), le.Uint32(header[80:]), int64(le.Uint32(header[84:]))
	if entry < minEntrySize || entry > maxEntrySize || at > uint64(size/sector) {
		return t, nil
	}
	entries := make([]byte, entry*int64(min(count, maxEntries)))
	n, err := r.ReadAt(entries, int64(at)*sector)
	if err != nil && !errors.Is(err, io.EOF) {
		return t, err
	}
	for i := int64(0); (i+1)*entry <= int64(n); i++ {
		e := entries[i*entry : (i+1)*entry]
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if [16]byte(e[:16]) == [16]byte{} || first > last || last >= uint64(size/sector) {
			continue
		}
		t.parts = append(t.parts, part{number: int(i) + 1, kind: hex.EncodeToString(e[:16]),
			guid: hex.EncodeToString(e[16:32]), name: utf16Text(e[56:128]),
			offset: int64(first) * sector, size: int64(last-first+1) * sector})
	}
	return t, nil
}

// readMBR reads the four primary partitions; logical ones are left out.
func readMBR(head []byte, size, sector int64) table {
	le := binary.LittleEndian
	t := table{kind: tableMBR}
	for i := range 4 {
		e := head[446+16*i : 462+16*i]
		offset, length := int64(le.Uint32(e[8:]))*sector, int64(le.Uint32(e[12:]))*sector
		if e[0]&0x7f != 0 {
			return table{} // not a boot flag: code of a boot sector, not a table
		}
		if e[4] == 0 || offset == 0 || length == 0 || offset > size-length {
			continue
		}
		t.parts = append(t.parts, part{number: i + 1, kind: hex.EncodeToString(e[4:5]), active: e[0] == 0x80,
			offset: offset, size: length})
	}
	return t
}

func utf16Text(b []byte) string {
	var u []uint16
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return clean(string(utf16.Decode(u)))
}
