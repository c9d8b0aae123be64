package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Defaults and limits of Write.
const (
	// DefaultRetries is Options.Retries when that is 0.
	DefaultRetries = 5
	// DefaultRetryDelay is Options.RetryDelay when that is 0.
	DefaultRetryDelay = 500 * time.Millisecond

	maxRetryDelay = 15 * time.Second
	headSize      = 1 << 20  // written last
	firstSize     = 4096     // of the head, written last of all: MBR and GPT header, of sectors of either size
	tailSize      = 4 << 20  // zeroed at the end of a disk that is larger than the image: 1024 sectors of either size
	zeroSlice     = 64 << 20 // zeroed between two reports of progress
	writeMemory   = 64 << 20 // of chunks under way
)

// ErrTooSmall says that the disk is smaller than the image.
var ErrTooSmall = errors.New("the disk is smaller than the image")

// Target is what an image is written onto. WriteAt and Zero are called concurrently, on ranges that do not overlap.
type Target interface {
	io.WriterAt
	// Zero makes length bytes at off read as zero.
	Zero(ctx context.Context, off, length int64) error
	// Size is the number of bytes that the target holds.
	Size() int64
	// Sync returns when all that was written is on stable storage.
	Sync() error
}

// Fetcher reads the stored data of an image.
type Fetcher interface {
	// Fetch gives the data from offset to the end.
	Fetch(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// Options of Write. The zero value is ready for use.
type Options struct {
	// Progress, when not nil, is called with the bytes of the raw image that were written or zeroed, from one
	// goroutine at a time. done never falls, and reaches total when all is on the disk.
	Progress func(done, total int64)
	// Log, when not nil, hears of retries.
	Log *slog.Logger
	// Retries is how often in a row a stream may break without one whole chunk, and how often one chunk is fetched
	// again; 0 means DefaultRetries.
	Retries int
	// RetryDelay is the pause before the first retry; it doubles up to 15 s; 0 means DefaultRetryDelay.
	RetryDelay time.Duration
}

// WriteStats tells what a Write did.
type WriteStats struct {
	Written int64         // raw bytes of chunks
	Zeroed  int64         // bytes of holes
	Fetched int64         // stored bytes that arrived, repeated ones included
	Retries int           // how often a stream or a chunk was fetched again
	Took    time.Duration // of the whole call
}

// Write puts the image that m describes onto t. When it returns nil, every byte of the raw image's range is as the
// manifest says, checked and on stable storage.
//
// The first MiB of the disk is zeroed before anything else and written when all the rest is on stable storage, so that
// an error, at any point, leaves a disk that no firmware boots. The last 4 MiB of a larger disk are zeroed too, for old
// backup partition tables and RAID members live there.
//
// Errors: ErrManifest, ErrTooSmall, ErrDigest for a chunk that stays wrong, what f and t gave otherwise.
func Write(ctx context.Context, f Fetcher, m *Manifest, t Target, o Options) (WriteStats, error) {
	began := time.Now()
	w, err := newWriter(f, m, t, o)
	if err == nil {
		defer w.dec.Close()
		err = w.run(ctx)
		w.stats.Took = time.Since(began)
	}
	if err != nil {
		err = fmt.Errorf("write image %s: %w", m.ID, err)
	}
	if w == nil {
		return WriteStats{}, err
	}
	return w.stats, err
}

// run is the order of things that keeps a half-written disk from booting.
func (w *writer) run(ctx context.Context) error {
	if err := w.clear(ctx); err != nil {
		return err
	}
	if err := w.stream(ctx); err != nil {
		return err
	}
	if err := w.target.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return w.finish(ctx)
}

// clear makes the disk unbootable: head and tail.
func (w *writer) clear(ctx context.Context) error {
	size := w.target.Size()
	if err := w.target.Zero(ctx, 0, min(headSize, size)); err != nil {
		return fmt.Errorf("zero the first MiB: %w", err)
	}
	if tail := max(w.m.RawSize, size-tailSize, headSize); tail < size {
		if err := w.target.Zero(ctx, tail, size-tail); err != nil {
			return fmt.Errorf("zero the end of the disk: %w", err)
		}
	}
	if err := w.target.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// finish writes the head: the body first, then the sectors without which nothing boots.
func (w *writer) finish(ctx context.Context) error {
	first := min(firstSize, len(w.head))
	for _, part := range []struct{ from, to int }{{first, len(w.head)}, {0, first}} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if part.from == part.to {
			continue
		}
		if _, err := w.target.WriteAt(w.head[part.from:part.to], int64(part.from)); err != nil {
			return fmt.Errorf("write the first MiB: %w", err)
		}
		if err := w.target.Sync(); err != nil {
			return fmt.Errorf("sync the first MiB: %w", err)
		}
	}
	w.advance(int64(len(w.head)))
	return nil
}
