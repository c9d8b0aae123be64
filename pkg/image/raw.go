package image

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/klauspost/compress/zstd"
)

// Raw reads the raw bytes of a kept image at any place, each chunk checked. It holds one chunk in memory. It is not for
// concurrent use.
type Raw struct {
	m     *Manifest
	data  io.ReaderAt
	dec   *zstd.Decoder
	frame []byte
	chunk []byte // raw data of m.Chunks[at]
	at    int    // -1: none
	close func() error
}

// OpenRaw opens an image of the library for reading. Errors match those of the file system.
func (l *Library) OpenRaw(m *Manifest) (*Raw, error) {
	f, err := os.Open(filepath.Join(l.Dir(m.ID), DataFile))
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", m.ID, err)
	}
	r, err := newRaw(m, f)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", m.ID, errors.Join(err, f.Close()))
	}
	r.close = f.Close
	return r, nil
}

func newRaw(m *Manifest, data io.ReaderAt) (*Raw, error) {
	dec, err := newDecoder(m, 1)
	if err != nil {
		return nil, err
	}
	return &Raw{m: m, data: data, dec: dec, at: -1}, nil
}

// Close frees what the reader holds.
func (r *Raw) Close() error {
	r.dec.Close()
	if r.close == nil {
		return nil
	}
	return r.close()
}

// Size is the size of the raw image in bytes.
func (r *Raw) Size() int64 { return r.m.RawSize }

// ReadAt implements io.ReaderAt. Errors match ErrDigest for a chunk that is not what it was.
func (r *Raw) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, os.ErrInvalid)
	}
	n := 0
	for n < len(p) && off < r.m.RawSize {
		k, err := r.some(p[n:min(int64(len(p)), int64(n)+r.m.RawSize-off)], off)
		if err != nil {
			return n, err
		}
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// some reads from one chunk, or from the hole before the next one.
func (r *Raw) some(p []byte, off int64) (int, error) {
	i := sort.Search(len(r.m.Chunks), func(i int) bool { return r.m.Chunks[i].Offset+r.m.Chunks[i].Length > off })
	if i == len(r.m.Chunks) || r.m.Chunks[i].Offset > off {
		if i < len(r.m.Chunks) {
			p = p[:min(int64(len(p)), r.m.Chunks[i].Offset-off)]
		}
		clear(p)
		return len(p), nil
	}
	c := &r.m.Chunks[i]
	if r.at != i {
		r.at = -1
		r.frame = sized(r.frame, c.Size)
		if _, err := r.data.ReadAt(r.frame, c.Stored); err != nil {
			return 0, fmt.Errorf("chunk %d: %w", i, err)
		}
		raw, err := unpack(r.dec, c, r.frame, sized(r.chunk, r.m.ChunkSize))
		if err != nil {
			return 0, fmt.Errorf("chunk %d: %w", i, err)
		}
		r.chunk, r.at = raw, i
	}
	return copy(p, r.chunk[off-c.Offset:]), nil
}
