package store

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// The parts of bbolt's file format (go.etcd.io/bbolt internal/common, page.go, meta.go, bucket.go) that decide
// whether every page can be reached safely. Numbers are in the byte order of the machine that wrote the file.
const (
	pageHeader  = 16 // id u64, flags u16, count u16, overflow u32
	elementSize = 16 // of branch and leaf elements alike
	metaSize    = 64 // magic .. checksum
	metaSummed  = 56 // the bytes before the checksum

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	leafBucket   = 0x01

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	noFreelist  = ^uint64(0)

	maxPageSize = 1 << 24
	maxDepth    = 64 // of pages and buckets; a real file has less than ten
)

// fileMeta is one of the two meta pages.
type fileMeta struct {
	pageSize, root, freelist, high, txid uint64
}

// verifier walks every page of a bbolt file by plain reads.
type verifier struct {
	file io.ReaderAt
	size int64
	meta fileMeta
	used map[uint64]bool // pages reached, with their overflow
}

// verify checks that every page below the high-water mark of the newest valid meta page is inside the file, well
// formed and used once. Its errors match ErrCorrupt. Whole is false when one of the two meta pages is not valid: bbolt goes
// on from the other, which may be one transaction older.
func verify(file io.ReaderAt, size int64) (whole bool, err error) {
	v := &verifier{file: file, size: size, used: map[uint64]bool{0: true, 1: true}}
	valid, err := v.readMeta()
	if err != nil {
		return false, err
	}
	if need := v.meta.high * v.meta.pageSize; need > uint64(size) {
		return false, fmt.Errorf("%w: it has %d bytes of %d: it was cut off", ErrCorrupt, size, need)
	}
	if err := v.walk(v.meta.root, 0); err != nil {
		return false, err
	}
	return valid == 2, v.freelist()
}

// readMeta picks the newer of the valid meta pages and counts them. The second stands one page after the first, whose size only a
// valid page tells.
func (v *verifier) readMeta() (valid int, err error) {
	for at := int64(0); at < v.size && at <= maxPageSize; at = max(1024, at*2) {
		m, ok := v.metaAt(at)
		if !ok || (at != 0 && m.pageSize != uint64(at)) {
			continue
		}
		if valid == 0 || m.txid > v.meta.txid {
			v.meta = m
		}
		valid++
	}
	if valid == 0 {
		return 0, fmt.Errorf("%w: it has no valid meta page", ErrCorrupt)
	}
	return valid, nil
}

func (v *verifier) metaAt(at int64) (fileMeta, bool) {
	var b [metaSize]byte
	if _, err := v.file.ReadAt(b[:], at+pageHeader); err != nil {
		return fileMeta{}, false
	}
	e := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSummed]) // never fails
	m := fileMeta{
		pageSize: uint64(e.Uint32(b[8:])), root: e.Uint64(b[16:]), freelist: e.Uint64(b[32:]),
		high: e.Uint64(b[40:]), txid: e.Uint64(b[48:]),
	}
	good := e.Uint32(b[0:]) == metaMagic && e.Uint32(b[4:]) == metaVersion &&
		e.Uint64(b[metaSummed:]) == sum.Sum64() &&
		m.pageSize >= 1024 && m.pageSize <= maxPageSize && m.pageSize&(m.pageSize-1) == 0 &&
		m.high >= 3 && m.high < 1<<40
	return m, good
}

// page reads one page with its overflow and marks it as used.
func (v *verifier) page(id uint64) ([]byte, error) {
	if id < 2 || id >= v.meta.high {
		return nil, fmt.Errorf("%w: page %d is outside of it", ErrCorrupt, id)
	}
	var head [pageHeader]byte
	at := int64(id * v.meta.pageSize)
	if _, err := v.file.ReadAt(head[:], at); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	e := binary.NativeEndian
	over := uint64(e.Uint32(head[12:]))
	if e.Uint64(head[:]) != id || id+over >= v.meta.high {
		return nil, fmt.Errorf("%w: page %d has a bad header", ErrCorrupt, id)
	}
	for i := id; i <= id+over; i++ {
		if v.used[i] {
			return nil, fmt.Errorf("%w: page %d is used twice", ErrCorrupt, i)
		}
		v.used[i] = true
	}
	body := make([]byte, (over+1)*v.meta.pageSize)
	if _, err := v.file.ReadAt(body, at); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return body, nil
}

// walk checks a page and everything below it.
func (v *verifier) walk(id uint64, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: page %d is nested too deep", ErrCorrupt, id)
	}
	body, err := v.page(id)
	if err != nil {
		return err
	}
	switch binary.NativeEndian.Uint16(body[8:]) {
	case flagBranch:
		return v.branch(id, body, depth)
	case flagLeaf:
		return v.leaf(id, body, depth)
	}
	return fmt.Errorf("%w: page %d is of no known kind", ErrCorrupt, id)
}
