package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// writer is one call of Write.
type writer struct {
	fetcher Fetcher
	m       *Manifest
	target  Target
	o       Options
	log     *slog.Logger
	dec     *zstd.Decoder
	workers int
	head    []byte // the first MiB of the image, kept back; chunks fill disjoint parts of it

	mu    sync.Mutex // guards what follows
	done  int64
	stats WriteStats
}

// slot is the memory of one chunk under way.
type slot struct {
	index int
	frame []byte
	raw   []byte
}

func newWriter(f Fetcher, m *Manifest, t Target, o Options) (*writer, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if t.Size() < m.RawSize {
		return nil, fmt.Errorf("%w: the disk has %d bytes, the image %d", ErrTooSmall, t.Size(), m.RawSize)
	}
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	if o.RetryDelay == 0 {
		o.RetryDelay = DefaultRetryDelay
	}
	w := &writer{fetcher: f, m: m, target: t, o: o, log: o.Log, head: make([]byte, min(headSize, m.RawSize))}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	// A slot is two buffers of about a chunk each; one slot more than workers keeps the stream moving.
	slots := max(2, int(writeMemory/(2*m.ChunkSize+storedSlack)))
	w.workers = min(runtime.GOMAXPROCS(0), slots-1)
	var err error
	w.dec, err = newDecoder(m, w.workers)
	return w, err
}

// stream writes all but the head: chunks as they arrive, holes beside them.
func (w *writer) stream(ctx context.Context) error {
	free := make(chan *slot, w.workers+1)
	for range cap(free) {
		free <- &slot{}
	}
	full := make(chan *slot, cap(free))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.zeroHoles(ctx) })
	g.Go(func() error {
		defer close(full)
		return w.read(ctx, free, full)
	})
	for range w.workers {
		g.Go(func() error {
			for s := range full {
				if err := w.put(ctx, s); err != nil {
					return err
				}
				free <- s
			}
			return nil
		})
	}
	return g.Wait()
}

// zeroHoles zeroes what is in no chunk, beyond the head.
func (w *writer) zeroHoles(ctx context.Context) error {
	at := int64(len(w.head))
	for i := 0; i <= len(w.m.Chunks); i++ {
		end, next := w.m.RawSize, w.m.RawSize
		if i < len(w.m.Chunks) {
			end = w.m.Chunks[i].Offset
			next = end + w.m.Chunks[i].Length
		}
		for at < end {
			n := min(zeroSlice, end-at)
			if err := w.target.Zero(ctx, at, n); err != nil {
				return fmt.Errorf("zero %d bytes at offset %d: %w", n, at, err)
			}
			w.mu.Lock()
			w.stats.Zeroed += n
			w.mu.Unlock()
			w.advance(n)
			at += n
		}
		at = max(at, next)
	}
	return nil
}

// read streams the frames, in their order, into free slots.
func (w *writer) read(ctx context.Context, free <-chan *slot, full chan<- *slot) error {
	var body io.ReadCloser
	defer func() {
		if body != nil {
			_ = body.Close() // nothing that was read depends on it
		}
	}()
	for i := range w.m.Chunks {
		var s *slot
		select {
		case s = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		c := &w.m.Chunks[i]
		s.index, s.frame = i, sized(s.frame, c.Size)
		err := w.retry(ctx, i, func() (err error) {
			if body == nil {
				if body, err = w.fetcher.Fetch(ctx, c.Stored); err != nil {
					body = nil
					return err
				}
			}
			if err = w.fill(body, s.frame); err != nil {
				err = errors.Join(err, body.Close())
				body = nil
			}
			return err
		})
		if err != nil {
			return err
		}
		full <- s // never blocks: there are no more slots than places
	}
	return nil
}

func (w *writer) fill(r io.Reader, frame []byte) error {
	n, err := io.ReadFull(r, frame)
	w.mu.Lock()
	w.stats.Fetched += int64(n)
	w.mu.Unlock()
	return err
}

// put checks one chunk, fetching it again when it is wrong, and writes it.
func (w *writer) put(ctx context.Context, s *slot) error {
	c := &w.m.Chunks[s.index]
	s.raw = sized(s.raw, c.Length)
	raw, err := unpack(w.dec, c, s.frame, s.raw)
	if err != nil {
		w.note(s.index, err)
		err = w.retry(ctx, s.index, func() error {
			if err := w.again(ctx, c, s.frame); err != nil {
				return err
			}
			raw, err = unpack(w.dec, c, s.frame, s.raw)
			return err
		})
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.write(c, raw)
}

// again fetches one frame by itself.
func (w *writer) again(ctx context.Context, c *Chunk, frame []byte) error {
	body, err := w.fetcher.Fetch(ctx, c.Stored)
	if err != nil {
		return err
	}
	return errors.Join(w.fill(body, frame), body.Close())
}

// write puts checked data on the disk; what belongs to the head is only kept.
func (w *writer) write(c *Chunk, raw []byte) error {
	kept := 0
	if c.Offset < int64(len(w.head)) {
		kept = copy(w.head[c.Offset:], raw)
	}
	if kept < len(raw) {
		if _, err := w.target.WriteAt(raw[kept:], c.Offset+int64(kept)); err != nil {
			return fmt.Errorf("write %d bytes at offset %d: %w", len(raw)-kept, c.Offset+int64(kept), err)
		}
	}
	w.mu.Lock()
	w.stats.Written += c.Length
	w.mu.Unlock()
	w.advance(int64(len(raw) - kept))
	return nil
}

// retry repeats f, with growing pauses, until it succeeds or the retries are used up.
func (w *writer) retry(ctx context.Context, index int, f func() error) error {
	delay := w.o.RetryDelay
	for try := 0; ; try++ {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if try == w.o.Retries {
			return fmt.Errorf("chunk %d at offset %d, after %d retries: %w", index, w.m.Chunks[index].Offset, try, err)
		}
		w.note(index, err)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
		delay = min(2*delay, maxRetryDelay)
	}
}

func (w *writer) note(index int, err error) {
	w.mu.Lock()
	w.stats.Retries++
	w.mu.Unlock()
	w.log.Warn("image chunk is fetched again", "step", "write", "chunk", index, "err", err)
}

// advance reports progress; the lock keeps the reports in order.
func (w *writer) advance(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done += n
	if w.o.Progress != nil {
		w.o.Progress(w.done, w.m.RawSize)
	}
}
