package agent

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
)

// Names of file systems as mount(2) takes them.
const (
	fsBtrfs = "btrfs"
	fsExt4  = "ext4"
	fsVFAT  = "vfat"
)

// probe says which of the file systems that the agent mounts begins at a place, and its label. Both are empty for
// anything else.
//
// The places are those of btrfs's on-disk format (superblock at 64 KiB), of ext4's (superblock at 1 KiB) and of the FAT
// boot sector (Microsoft, FAT specification 1.03).
func probe(r io.ReaderAt) (filesystem, label string) {
	head := make([]byte, 64<<10+4096)
	n, err := r.ReadAt(head, 0)
	if err != nil && n < 2048 {
		return "", ""
	}
	head = append(head[:n], make([]byte, len(head)-n)...)
	const btrfs, ext4 = 64 << 10, 1 << 10
	switch {
	case string(head[btrfs+0x40:btrfs+0x48]) == "_BHRfS_M":
		return fsBtrfs, text(head[btrfs+0x12b : btrfs+0x22b])
	case binary.LittleEndian.Uint16(head[ext4+0x38:]) == 0xef53:
		return fsExt4, text(head[ext4+0x78 : ext4+0x88])
	case head[510] == 0x55 && head[511] == 0xaa && string(head[82:87]) == "FAT32":
		return fsVFAT, text(head[71:82])
	case head[510] == 0x55 && head[511] == 0xaa && string(head[54:58]) == "FAT1":
		return fsVFAT, text(head[43:54])
	}
	return "", ""
}

// text reads a label that ends at a NUL or is padded with blanks.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.TrimRight(string(b), " ")
}
