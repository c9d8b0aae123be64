package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// branch checks the keys and the children of a branch page.
func (v *verifier) branch(id uint64, body []byte, depth int) error {
	e := binary.NativeEndian
	count := int(e.Uint16(body[10:]))
	if count == 0 || pageHeader+count*elementSize > len(body) {
		return badElement(id, 0)
	}
	var last []byte
	for i := range count {
		at := pageHeader + i*elementSize
		key, ok := cut(body, at, e.Uint32(body[at:]), e.Uint32(body[at+4:]))
		if !ok || (i > 0 && bytes.Compare(last, key) >= 0) {
			return badElement(id, i)
		}
		last = key
		if err := v.walk(e.Uint64(body[at+8:]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the keys and values of a leaf page and walks into the buckets among them.
func (v *verifier) leaf(id uint64, body []byte, depth int) error {
	e := binary.NativeEndian
	count := int(e.Uint16(body[10:]))
	if pageHeader+count*elementSize > len(body) {
		return badElement(id, 0)
	}
	var last []byte
	for i := range count {
		at := pageHeader + i*elementSize
		pos, ksize, vsize := e.Uint32(body[at+4:]), e.Uint32(body[at+8:]), e.Uint32(body[at+12:])
		key, ok := cut(body, at, pos, ksize)
		value, fits := cut(body, at, pos+ksize, vsize)
		if !ok || !fits || pos+ksize < pos || (i > 0 && bytes.Compare(last, key) >= 0) {
			return badElement(id, i)
		}
		last = key
		if e.Uint32(body[at:])&leafBucket == 0 {
			continue
		}
		if err := v.bucket(id, i, value, depth); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket's value: its root page, and for root 0 a whole page inside the value.
func (v *verifier) bucket(id uint64, i int, value []byte, depth int) error {
	e := binary.NativeEndian
	if len(value) < elementSize {
		return badElement(id, i)
	}
	if root := e.Uint64(value); root != 0 {
		return v.walk(root, depth+1)
	}
	inline := value[elementSize:]
	if depth > maxDepth || len(inline) < pageHeader || e.Uint16(inline[8:]) != flagLeaf {
		return badElement(id, i)
	}
	return v.leaf(id, inline, depth+1)
}

// freelist checks that free pages are inside the file, listed once and not in use.
func (v *verifier) freelist() error {
	if v.meta.freelist == noFreelist {
		return nil
	}
	body, err := v.page(v.meta.freelist)
	if err != nil {
		return err
	}
	e := binary.NativeEndian
	if e.Uint16(body[8:]) != flagFreelist {
		return fmt.Errorf("%w: page %d is not the list of free pages", ErrCorrupt, v.meta.freelist)
	}
	ids := body[pageHeader:]
	count := uint64(e.Uint16(body[10:]))
	if count == 0xFFFF && len(ids) >= 8 { // the real count is the first entry
		count, ids = e.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return badElement(v.meta.freelist, 0)
	}
	for i := range count {
		free := e.Uint64(ids[i*8:])
		if free < 2 || free >= v.meta.high || v.used[free] {
			return badElement(v.meta.freelist, int(i))
		}
		v.used[free] = true
	}
	return nil
}

// cut gives size bytes at base+pos; pos counts from the element itself.
func cut(body []byte, base int, pos, size uint32) ([]byte, bool) {
	from := uint64(base) + uint64(pos)
	if from+uint64(size) > uint64(len(body)) {
		return nil, false
	}
	return body[from : from+uint64(size)], true
}

func badElement(id uint64, i int) error {
	return fmt.Errorf("%w: page %d, entry %d", ErrCorrupt, id, i)
}
