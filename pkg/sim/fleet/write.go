package fleet

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/image"
)

const (
	// slowBy is how much slower a slow disk is.
	slowBy = 100
	// writeTries is how often a chunk is fetched again without success.
	writeTries   = 5
	longestPause = 15 * time.Second
	// leastPause keeps timers from firing for each buffer.
	leastPause = 5 * time.Millisecond
)

// writer is one write of an image: all data is fetched and checked, none is kept.
type writer struct {
	*board
	src   image.Fetcher
	m     *image.Manifest
	o     image.Options
	began time.Time

	proof   *proof
	body    io.ReadCloser
	pending []unproved
	done    int64 // raw bytes
	checks  bool  // what is fetched now was written before
}

// unproved is a chunk that came before anybody had proved it.
type unproved struct {
	chunk int
	sum   uint64
}

// run fetches the image. Errors: image.ErrManifest, image.ErrTooSmall, image.ErrDigest, those of the source, EIO.
func (w *writer) run(ctx context.Context) error {
	if err := w.m.Validate(); err != nil {
		return err
	}
	if size := int64(w.node.hw.Disk); size < w.m.RawSize {
		return fmt.Errorf("%w: the disk has %d bytes, the image %d", image.ErrTooSmall, size, w.m.RawSize)
	}
	w.proof = w.node.fleet.proofs.of(w.m)
	defer w.shut()
	for i := range w.m.Chunks {
		if err := w.retry(ctx, i, func() error { return w.next(ctx, i) }); err != nil {
			return err
		}
		w.done += w.m.Chunks[i].Length
		w.note(func(n *node) { n.bytes += w.m.Chunks[i].Length })
	}
	for _, u := range w.pending {
		if sum, ok := w.proof.known(u.chunk); ok && sum == u.sum {
			continue
		}
		w.shut()
		if err := w.retry(ctx, u.chunk, func() error { return w.whole(ctx, u.chunk, true) }); err != nil {
			return err
		}
	}
	w.o.Progress(w.m.RawSize, w.m.RawSize)
	return nil
}

// shut ends the stream.
func (w *writer) shut() {
	if w.body != nil {
		_ = w.body.Close() // nothing that was read depends on it
		w.body = nil
	}
}

// next takes the next chunk off the stream, in one of three ways: compared with what was proved; proved, when there is
// memory for it; or remembered.
func (w *writer) next(ctx context.Context, i int) error {
	want, known := w.proof.known(i)
	if !known && !w.fault().WriteSlow { // others would wait for its memory
		select {
		case s := <-w.node.fleet.proofs.slots:
			defer func() { w.node.fleet.proofs.slots <- s }()
			return w.into(ctx, i, s)
		default:
		}
	}
	sum, err := w.pass(ctx, i, nil)
	switch {
	case err != nil:
		return err
	case !known:
		w.pending = append(w.pending, unproved{i, sum})
		return nil
	case sum != want:
		return w.whole(ctx, i, false) // wrong, or compressed in another way
	}
	return nil
}

// whole fetches one chunk by itself and proves it, unless somebody has meanwhile and it is to be believed.
func (w *writer) whole(ctx context.Context, i int, believe bool) error {
	var s *slot
	select {
	case s = <-w.node.fleet.proofs.slots:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { w.node.fleet.proofs.slots <- s }()
	if want, known := w.proof.known(i); known && believe {
		for _, u := range w.pending {
			if u.chunk == i && u.sum == want {
				return nil
			}
		}
	}
	w.shut()
	w.checks = true
	defer func() {
		w.checks = false
		w.shut()
	}()
	return w.into(ctx, i, s)
}

// into reads a chunk into a slot and proves it.
func (w *writer) into(ctx context.Context, i int, s *slot) error {
	s.frame = s.frame[:0]
	if _, err := w.pass(ctx, i, s); err != nil {
		return err
	}
	err := w.proof.prove(i, s)
	if err != nil {
		w.shut()
	}
	return err
}

// pass reads a chunk's stored data at the disk's speed, keeps it in s unless that is nil, and gives its hash.
func (w *writer) pass(ctx context.Context, i int, s *slot) (uint64, error) {
	c := &w.m.Chunks[i]
	if w.body == nil {
		body, err := w.src.Fetch(ctx, c.Stored)
		if err != nil {
			return 0, err
		}
		w.body = body
	}
	var hash maphash.Hash
	hash.SetSeed(w.proof.seed)
	buf := w.node.fleet.copies.get()
	defer w.node.fleet.copies.put(buf)
	for n := int64(0); n < c.Size; {
		m, err := w.body.Read((*buf)[:min(int64(len(*buf)), c.Size-n)])
		n += int64(m)
		_, _ = hash.Write((*buf)[:m]) // never fails
		if s != nil {
			s.frame = append(s.frame, (*buf)[:m]...)
		}
		if err == nil || n == c.Size {
			err = w.wrote(ctx, w.done+c.Length*n/c.Size)
		}
		if err != nil && n < c.Size || errors.Is(err, errDisk) || errors.Is(err, errReset) {
			w.shut()
			return 0, err
		}
	}
	return hash.Sum64(), ctx.Err()
}

// errDisk says that the disk is broken; it is not tried again.
var errDisk = errors.New("the disk does not take it")

// wrote lets the time pass that the disk takes, and fails where it is to fail.
func (w *writer) wrote(ctx context.Context, done int64) error {
	if w.checks {
		return ctx.Err()
	}
	f := w.fault()
	if half := w.m.UsedSize() / 2; done >= half {
		switch {
		case f.WriteError:
			return fmt.Errorf("%w: write at offset %d: %w", errDisk, done, unix.EIO)
		case f.WriteReboot:
			w.note(func(n *node) { n.faults.WriteReboot = false })
			w.stop(errReset)
			return errReset
		}
	}
	w.o.Progress(done, w.m.RawSize)
	speed := int64(w.node.hw.Speed)
	if f.WriteSlow {
		speed = max(1, speed/slowBy)
	}
	took := time.Duration(float64(done) / float64(speed) * float64(time.Second))
	if ahead := w.node.fleet.scaled(took) - time.Since(w.began); ahead > leastPause {
		return rest(ctx, ahead)
	}
	return nil
}

// retry repeats what may help: a stream that broke, a chunk that was wrong.
func (w *writer) retry(ctx context.Context, i int, do func() error) error {
	delay := w.o.RetryDelay
	for try := 0; ; try++ {
		err := do()
		switch {
		case err == nil, errors.Is(err, errDisk), errors.Is(err, errReset):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case try == writeTries:
			return fmt.Errorf("chunk %d at offset %d, after %d retries: %w", i, w.m.Chunks[i].Offset, try, err)
		}
		w.o.Log.Warn("image chunk is fetched again", "step", "write", "chunk", i, "err", err)
		if err := rest(ctx, delay); err != nil {
			return err
		}
		delay = min(2*delay, longestPause)
	}
}
