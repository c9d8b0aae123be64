package hwinfo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// signature is what a partition, or a whole disk, is used for.
type signature struct{ kind, label string }

// signatureWindow covers the beginning up to the label of btrfs, the farthest.
const signatureWindow = 0x10000 + 0x12b + 256

// signatureAt looks at length bytes of r from offset on.
func signatureAt(r io.ReaderAt, offset, length int64) (signature, error) {
	head, err := window(r, offset, min(length, signatureWindow))
	if err != nil {
		return signature{}, err
	}
	for _, probe := range []func([]byte) signature{
		luks, lvm, mdBegin, xfs, btrfs, ext, swap, squashfs, ntfs, fat,
	} {
		if s := probe(head); s.kind != "" {
			return s, nil
		}
	}
	return mdEnd(r, offset, length)
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
	return signature{kind, text(b, super+0x78, 16)}
}

func xfs(b []byte) signature {
	if !is(b, 0, "XFSB") {
		return signature{}
	}
	return signature{"xfs", text(b, 108, 12)}
}

func btrfs(b []byte) signature {
	if !is(b, 0x10040, "_BHRfS_M") {
		return signature{}
	}
	return signature{"btrfs", text(b, 0x1012b, 256)}
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
	return signature{"vfat", label}
}

// swap has its magic at the end of the first page, of any size that Linux knows.
func swap(b []byte) signature {
	for _, page := range []int{4096, 8192, 16384, 65536} {
		if is(b, page-10, "SWAPSPACE2") {
			return signature{"swap", text(b, 1052, 16)}
		}
	}
	return signature{}
}

// lvm finds the label of a physical volume in one of the first four sectors.
func lvm(b []byte) signature {
	for off := 0; off < 4*512; off += 512 {
		if is(b, off, "LABELONE") && is(b, off+24, "LVM2 001") {
			return signature{kind: "LVM2 physical volume"}
		}
	}
	return signature{}
}

func luks(b []byte) signature {
	if !is(b, 0, "LUKS\xba\xbe") {
		return signature{}
	}
	if is(b, 6, "\x00\x02") {
		return signature{"crypto_LUKS", text(b, 24, 48)}
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

// mdMagic marks a member of a Linux software RAID; Linux, include/uapi/linux/raid/md_p.h.
const mdMagic = "\xfc\x4e\x2b\xa9"

// mdBegin finds metadata 1.1 at the beginning and 1.2 at 4 KiB.
func mdBegin(b []byte) signature {
	for _, off := range []int{0, 4096} {
		if is(b, off, mdMagic+"\x01\x00\x00\x00") {
			return signature{"mdraid member", text(b, off+32, 32)}
		}
	}
	return signature{}
}

// mdEnd finds metadata 1.0, 8 KiB before the end, and 0.90, in the last whole 64 KiB.
func mdEnd(r io.ReaderAt, offset, length int64) (signature, error) {
	const unit90, unit10 = 64 << 10, 8 << 10
	for _, at := range []int64{(length/512 - unit10/512) &^ 7 * 512, length&^(unit90-1) - unit90} {
		if at <= 0 {
			continue
		}
		b, err := window(r, offset+at, 64)
		if err != nil {
			return signature{}, err
		}
		switch {
		case is(b, 0, mdMagic+"\x01\x00\x00\x00"):
			return signature{"mdraid member", text(b, 32, 32)}, nil
		case is(b, 0, mdMagic):
			return signature{kind: "mdraid member"}, nil // 0.90 has no name
		}
	}
	return signature{}, nil
}
