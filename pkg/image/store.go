package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// maxAddWorkers bounds the memory of an Add: a worker holds about two chunks.
const maxAddWorkers = 8

// storeError is an error of our own disk or encoder, as opposed to one of the input.
type storeError struct{ err error }

// Error implements error.
func (e *storeError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *storeError) Unwrap() error { return e.err }

// packed is a chunk on its way through the pipeline.
type packed struct {
	chunk Chunk
	raw   []byte
	frame []byte
	done  chan struct{} // closed when frame is there
}

// packer compresses chunks in parallel and writes them in their order.
type packer struct {
	enc   *zstd.Encoder
	work  chan *packed
	order chan *packed
	bufs  chan []byte // free chunk buffers; their number bounds what is under way
}

// store reads the raw image, writes its used ranges to data as chunks, and completes the manifest.
func store(ctx context.Context, data io.Writer, raw io.Reader, m *Manifest) error {
	workers := min(runtime.GOMAXPROCS(0), maxAddWorkers)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(workers), zstd.WithEncoderCRC(false))
	if err != nil {
		return &storeError{err}
	}
	defer func() { _ = enc.Close() }() // it only packed whole frames: nothing is left to write
	depth := workers + 2
	p := &packer{enc: enc, work: make(chan *packed, depth), order: make(chan *packed, depth),
		bufs: make(chan []byte, depth)}
	for range depth {
		p.bufs <- nil // made when first needed
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(p.order)
		defer close(p.work)
		return p.split(ctx, raw, m)
	})
	for range workers {
		g.Go(func() error { p.compress(); return nil })
	}
	g.Go(func() error { return p.write(ctx, data, m) })
	return g.Wait()
}

func (p *packer) compress() {
	for c := range p.work {
		sum := sha256.Sum256(c.raw)
		c.chunk.SHA256 = hexDigest(sum[:])
		c.frame = p.enc.EncodeAll(c.raw, make([]byte, 0, len(c.raw)/2))
		close(c.done)
	}
}

func (p *packer) write(ctx context.Context, data io.Writer, m *Manifest) error {
	var at int64
	for c := range p.order {
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := data.Write(c.frame); err != nil {
			return &storeError{err}
		}
		c.chunk.Stored, c.chunk.Size = at, int64(len(c.frame))
		at += c.chunk.Size
		m.Chunks = append(m.Chunks, c.chunk)
		p.bufs <- c.raw[:0]
	}
	return nil
}

// split cuts the raw image into used ranges and hands them on as chunks.
func (p *packer) split(ctx context.Context, raw io.Reader, m *Manifest) error {
	digest := sha256.New()
	block := make([]byte, HoleSize)
	var zero [HoleSize]byte
	var open *packed // the chunk that is being filled
	for {
		n, err := readBlock(raw, block)
		if err != nil {
			return err
		}
		b := block[:n]
		digest.Write(b)
		if m.RawSize == 0 {
			head(m, b)
		}
		used := !bytes.Equal(b, zero[:n])
		if open != nil && (!used || len(open.raw)+n > ChunkSize) {
			if err := p.pass(ctx, open); err != nil {
				return err
			}
			open = nil
		}
		if used {
			if open == nil {
				if open, err = p.begin(ctx, m.RawSize); err != nil {
					return err
				}
			}
			open.raw = append(open.raw, b...)
		}
		m.RawSize += int64(n)
		if n < len(block) {
			break
		}
	}
	if open != nil {
		if err := p.pass(ctx, open); err != nil {
			return err
		}
	}
	return complete(m, digest.Sum(nil))
}

// readBlock fills b as far as the data reaches. Unlike io.ReadFull it keeps the end of the data apart from the
// io.ErrUnexpectedEOF of a decompressor whose input is cut off.
func readBlock(r io.Reader, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		k, err := r.Read(b[n:])
		n += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func head(m *Manifest, b []byte) {
	m.TableSector = tableSector(b)
	if w := wrongKind(b); w != "" {
		m.Warnings = append(m.Warnings, w)
	}
}

func (p *packer) begin(ctx context.Context, offset int64) (*packed, error) {
	select {
	case buf := <-p.bufs:
		if buf == nil {
			buf = make([]byte, 0, ChunkSize)
		}
		return &packed{chunk: Chunk{Offset: offset}, raw: buf, done: make(chan struct{})}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pass hands a chunk to a worker and, in order, to the writer. Neither send blocks for long: there are no more chunks
// than places.
func (p *packer) pass(ctx context.Context, c *packed) error {
	c.chunk.Length = int64(len(c.raw))
	for _, to := range []chan *packed{p.work, p.order} {
		select {
		case to <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func complete(m *Manifest, sum []byte) error {
	m.RawSHA256 = hexDigest(sum)
	m.ID = m.RawSHA256[:idLength]
	m.MinDisk = m.RawSize
	switch {
	case m.RawSize == 0:
		return &InputError{What: "the image is empty"}
	case m.RawSize > maxRawSize:
		return &InputError{What: fmt.Sprintf("the image has %d bytes, at most %d are taken", m.RawSize, int64(maxRawSize))}
	case m.RawSize%SectorSize != 0:
		return &InputError{
			What: fmt.Sprintf("the image has %d bytes, which is not a whole number of sectors of %d bytes", m.RawSize, SectorSize),
			Hint: "it is cut off, or not a disk image",
		}
	}
	return nil
}
