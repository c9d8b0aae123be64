package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// Verify reads a kept image, by ID or name, compares every chunk and the whole raw image with their digests, and gives its
// manifest. progress, when not nil, hears how many bytes of the stored data were read. Errors match ErrNotFound, ErrAmbiguous,
// ErrManifest or ErrDigest.
func (l *Library) Verify(ctx context.Context, idOrName string, progress func(read int64)) (m *Manifest, err error) {
	m, err = l.Get(ctx, idOrName)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	f, err := os.Open(filepath.Join(l.Dir(m.ID), DataFile))
	if err != nil {
		return nil, fmt.Errorf("verify image %s: %w", m.ID, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := verify(ctx, f, m, progress); err != nil {
		return nil, fmt.Errorf("verify image %s: %w", m.ID, err)
	}
	return m, nil
}

func verify(ctx context.Context, f *os.File, m *Manifest, progress func(int64)) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() != m.StoredSize() {
		return fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDigest, DataFile, st.Size(), m.StoredSize())
	}
	dec, err := newDecoder(m, 1)
	if err != nil {
		return err
	}
	defer dec.Close()
	whole := sha256.New()
	var frame []byte
	buf := make([]byte, m.ChunkSize)
	var at int64
	for i := range m.Chunks {
		c := &m.Chunks[i]
		if err := hashZeroes(ctx, whole, c.Offset-at); err != nil {
			return err
		}
		frame = sized(frame, c.Size)
		if _, err := io.ReadFull(f, frame); err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		raw, err := unpack(dec, c, frame, buf)
		if err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		whole.Write(raw)
		at = c.Offset + c.Length
		if progress != nil {
			progress(c.Stored + c.Size)
		}
	}
	if err := hashZeroes(ctx, whole, m.RawSize-at); err != nil {
		return err
	}
	if got := hexDigest(whole.Sum(nil)); got != m.RawSHA256 {
		return fmt.Errorf("%w: the raw image has %s instead of %s", ErrDigest, got, m.RawSHA256)
	}
	return nil
}

func hashZeroes(ctx context.Context, h hash.Hash, n int64) error {
	var zero [HoleSize]byte
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := min(n, int64(len(zero)))
		h.Write(zero[:k])
		n -= k
	}
	return ctx.Err()
}

// newDecoder gives a decoder of frames that never makes more raw bytes than a chunk of m may have.
func newDecoder(m *Manifest, concurrency int) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(concurrency), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(uint64(m.ChunkSize)), zstd.WithDecoderLowmem(true))
}

// unpack decompresses the frame of c into buf, whose capacity is at least c.Length, and checks size and digest. Its
// errors match ErrDigest.
func unpack(dec *zstd.Decoder, c *Chunk, frame, buf []byte) ([]byte, error) {
	raw, err := dec.DecodeAll(frame, buf[:0:c.Length])
	if err != nil {
		return nil, fmt.Errorf("%w at offset %d: %w", ErrDigest, c.Offset, err)
	}
	sum := sha256.Sum256(raw)
	if int64(len(raw)) != c.Length || hexDigest(sum[:]) != c.SHA256 {
		return nil, fmt.Errorf("%w at offset %d: %d bytes with %s instead of %d bytes with %s",
			ErrDigest, c.Offset, len(raw), hexDigest(sum[:]), c.Length, c.SHA256)
	}
	return raw, nil
}

func sized(b []byte, n int64) []byte {
	if int64(cap(b)) < n {
		return make([]byte, n)
	}
	return b[:n]
}
