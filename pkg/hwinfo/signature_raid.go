package hwinfo

import "io"

// Kinds of what takes more than one disk.
const (
	kindMD        = "mdraid member"
	kindLVM       = "LVM2 physical volume"
	kindZFS       = "ZFS member"
	kindBlueStore = "Ceph BlueStore"
	kindBcache    = "bcache"
)

// mdMagic marks a member of a Linux software RAID; Linux, include/uapi/linux/raid/md_p.h.
const mdMagic = "\xfc\x4e\x2b\xa9"

// mdBegin finds metadata 1.1 at the beginning and 1.2 at 4 KiB.
func mdBegin(b []byte) signature {
	for _, off := range []int{0, 4096} {
		if is(b, off, mdMagic+"\x01\x00\x00\x00") {
			return signature{kind: kindMD, label: text(b, off+32, 32)}
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
			return signature{kind: kindMD, label: text(b, 32, 32)}, nil
		case is(b, 0, mdMagic):
			return signature{kind: kindMD}, nil // 0.90 has no name
		}
	}
	return signature{}, nil
}

// atEnd finds what has its signature at the end of a disk or partition: old members of a software RAID, and those of the
// RAIDs that firmware makes: Intel's (IMSM), 1 KiB before the end, and SNIA's (DDF 2.0, 4.1), in the last sector.
func atEnd(r io.ReaderAt, offset, length int64) (signature, error) {
	if s, err := mdEnd(r, offset, length); s.kind != "" || err != nil || length < 2*blockSector {
		return s, err
	}
	tail, err := window(r, offset+length-2*blockSector, 2*blockSector)
	switch {
	case err != nil:
		return signature{}, err
	case is(tail, 0, "Intel Raid ISM Cfg Sig. "):
		return signature{kind: "Intel RAID member"}, nil
	case is(tail, blockSector, "\xde\x11\xde\x11"), is(tail, blockSector, "\x11\xde\x11\xde"):
		return signature{kind: "DDF RAID member"}, nil
	}
	return signature{}, nil
}

// zfsLabel is the size of a ZFS label; its second half is an array of uberblocks of 1 KiB or more each (ZFS On-Disk
// Specification, 1.3).
const zfsLabel = 256 << 10

func zfs(b []byte) signature {
	for off := zfsLabel / 2; off+8 <= len(b); off += 1 << 10 {
		if is(b, off, "\x0c\xb1\xba\x00\x00\x00\x00\x00") || is(b, off, "\x00\x00\x00\x00\x00\xba\xb1\x0c") {
			return signature{kind: kindZFS}
		}
	}
	return signature{}
}

func bluestore(b []byte) signature {
	if !is(b, 0, "bluestore block device") {
		return signature{}
	}
	return signature{kind: kindBlueStore}
}

// bcache has its superblock at 4 KiB, and the magic after checksum, offset and version.
func bcache(b []byte) signature {
	if !is(b, 4096+24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81") {
		return signature{}
	}
	return signature{kind: kindBcache}
}

// spans reports whether what has this signature is a part of something larger.
func (s signature) spans() bool {
	switch s.kind {
	case kindMD, kindLVM, kindZFS, kindBlueStore, kindBcache:
		return true
	}
	return false
}
