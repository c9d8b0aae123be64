package hwinfo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// signature is what a partition, or a whole disk, is used for.
type signature struct {
	kind, label string
	// blank marks a place without a signature whose beginning is all zero.
	blank bool
}

// signatureWindow covers the beginning up to the first label of ZFS, the farthest.
const signatureWindow = zfsLabel

// signatureAt looks at length bytes of r from offset on.
func signatureAt(r io.ReaderAt, offset, length int64) (signature, error) {
	head, err := window(r, offset, min(length, signatureWindow))
	if err != nil {
		return signature{}, err
	}
	for _, probe := range []func([]byte) signature{
		luks, lvm, mdBegin, bluestore, bcache, xfs, btrfs, ext, swap, squashfs, ntfs, exfat, f2fs, fat, iso9660, zfs,
	} {
		if s := probe(head); s.kind != "" {
			return s, nil
		}
	}
	s, err := atEnd(r, offset, length)
	s.blank = s.kind == "" && len(bytes.Trim(head, "\x00")) == 0
	return s, err
}

// window reads up to length bytes; less where the data ends.
func window(r io.ReaderAt, offset, length int64) ([]byte, error) {
	b := make([]byte, max(0, length))
	n, err := r.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// is reports whether magic lies at off.
func is(b []byte, off int, magic string) bool {
	return len(b) >= off+len(magic) && string(b[off:off+len(magic)]) == magic
}

// text reads a label of at most n bytes, up to a zero.
func text(b []byte, off, n int) string {
	if len(b) < off+n {
		return ""
	}
	s, _, _ := bytes.Cut(b[off:off+n], []byte{0})
	return clean(string(s))
}

func flags(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }

// ext knows ext2, ext3 and ext4 by their features; Linux, Documentation/filesystems/ext4/super.rst.
func ext(b []byte) signature {
	const super, hasJournal, extents, flex = 1024, 0x4, 0x40, 0x200
	if len(b) < super+264 || !is(b, super+0x38, "\x53\xef") {
		return signature{}
	}
	kind := "ext2"
	switch compat, incompat := flags(b, super+0x5c), flags(b, super+0x60); {
	case incompat&(extents|flex) != 0:
		kind = "ext4"
	case compat&hasJournal != 0:
		kind = "ext3"
	}
	return signature{kind: kind, label: text(b, super+0x78, 16)}
}

func xfs(b []byte) signature {
	if !is(b, 0, "XFSB") {
		return signature{}
	}
	return signature{kind: "xfs", label: text(b, 108, 12)}
}

func btrfs(b []byte) signature {
	if !is(b, 0x10040, "_BHRfS_M") {
		return signature{}
	}
	return signature{kind: "btrfs", label: text(b, 0x1012b, 256)}
}

// fat reads the extended BIOS parameter block of FAT12, FAT16 and FAT32; Microsoft's FAT specification 1.03, 3.
func fat(b []byte) signature {
	if !is(b, 510, "\x55\xaa") {
		return signature{}
	}
	label := ""
	switch {
	case is(b, 82, "FAT32   "):
		label = text(b, 71, 11)
	case is(b, 54, "FAT16   "), is(b, 54, "FAT12   "), is(b, 54, "FAT     "):
		label = text(b, 43, 11)
	default:
		return signature{}
	}
	if label == "NO NAME" {
		label = ""
	}
	return signature{kind: "vfat", label: label}
}

// swap has its magic at the end of the first page, of any size that Linux knows.
func swap(b []byte) signature {
	for _, page := range []int{4096, 8192, 16384, 65536} {
		if is(b, page-10, "SWAPSPACE2") {
			return signature{kind: "swap", label: text(b, 1052, 16)}
		}
	}
	return signature{}
}

// lvm finds the label of a physical volume in one of the first four sectors.
func lvm(b []byte) signature {
	for off := 0; off < 4*512; off += 512 {
		if is(b, off, "LABELONE") && is(b, off+24, "LVM2 001") {
			return signature{kind: kindLVM}
		}
	}
	return signature{}
}

func luks(b []byte) signature {
	if !is(b, 0, "LUKS\xba\xbe") {
		return signature{}
	}
	if is(b, 6, "\x00\x02") {
		return signature{kind: "crypto_LUKS", label: text(b, 24, 48)}
	}
	return signature{kind: "crypto_LUKS"}
}

func squashfs(b []byte) signature {
	if !is(b, 0, "hsqs") {
		return signature{}
	}
	return signature{kind: "squashfs"}
}

func ntfs(b []byte) signature {
	if !is(b, 3, "NTFS    ") {
		return signature{}
	}
	return signature{kind: "ntfs"}
}

func exfat(b []byte) signature {
	if !is(b, 3, "EXFAT   ") {
		return signature{}
	}
	return signature{kind: "exfat"}
}

func f2fs(b []byte) signature {
	if !is(b, 1024, "\x10\x20\xf5\xf2") {
		return signature{}
	}
	return signature{kind: "f2fs"}
}

// iso9660 has its first volume descriptor in sector 16 of 2 KiB; ECMA-119, 8.1.
func iso9660(b []byte) signature {
	if !is(b, 16*2048+1, "CD001") {
		return signature{}
	}
	return signature{kind: "iso9660", label: text(b, 16*2048+40, 32)}
}
