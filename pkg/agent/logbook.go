package agent

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Bounds of the log, in bytes: what a failure report carries, what waits for the server, and one batch to it.
const (
	tailSize    = 64 << 10
	pendingSize = 512 << 10
	batchSize   = 64 << 10
)

// Logbook takes the agent's log lines: each goes to the console at once, into a ring that keeps the tail, and into a
// queue for the server. It may be used concurrently.
type Logbook struct {
	console io.Writer

	mu      sync.Mutex
	tail    []byte
	pending []byte
	lost    bool          // lines were dropped from pending
	more    chan struct{} // of capacity 1: pending is not empty
}

// NewLogbook makes a log that also writes to console; nil for none.
func NewLogbook(console io.Writer) *Logbook {
	return &Logbook{console: console, more: make(chan struct{}, 1)}
}

// Logger gives a slog logger that writes text lines to the log.
func (l *Logbook) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// Write implements io.Writer for whole lines. It never fails: a console that does not write must not stop an install.
func (l *Logbook) Write(p []byte) (int, error) {
	if l.console != nil {
		_, _ = l.console.Write(p)
	}
	l.note(p)
	return len(p), nil
}

// note keeps lines without showing them on the console.
func (l *Logbook) note(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = lastLines(append(l.tail, p...), tailSize)
	was := len(l.pending) + len(p)
	l.pending = lastLines(append(l.pending, p...), pendingSize)
	l.lost = l.lost || len(l.pending) < was
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// Tail gives the end of the log, in whole lines of at most 64 KiB together.
func (l *Logbook) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.tail)
}

// lastLines cuts b at a line's beginning so that at most size bytes are left.
func lastLines(b []byte, size int) []byte {
	if len(b) <= size {
		return b
	}
	b = b[len(b)-size:]
	if i := bytes.IndexByte(b, '\n'); i >= 0 && i+1 < len(b) {
		b = b[i+1:]
	}
	return bytes.Clone(b)
}

// batch takes lines for the server off the queue; nil when it is empty.
func (l *Logbook) batch() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.pending)
	if n > batchSize {
		n = bytes.LastIndexByte(l.pending[:batchSize], '\n') + 1
		if n == 0 {
			n = batchSize
		}
	}
	out := bytes.Clone(l.pending[:n])
	l.pending = l.pending[n:]
	if l.lost && n > 0 {
		out = append([]byte("(older lines were dropped)\n"), out...)
		l.lost = false
	}
	return out
}

// ship sends the queue to the server until ctx is done, at most one batch per period. Lines are kept until the server
// took them or the queue overflows; before the first check-in it refuses them.
func (l *Logbook) ship(ctx context.Context, period time.Duration, send func(context.Context, []byte) error) {
	retry := pace{First: period, Most: 10 * period}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.more:
		}
		for lines := l.batch(); len(lines) > 0; lines = l.batch() {
			for try := 0; send(ctx, lines) != nil; try++ {
				if retry.wait(ctx, try) != nil {
					return
				}
			}
			if retry.wait(ctx, 0) != nil {
				return
			}
		}
	}
}

// flush waits until the queue is empty or ctx is done; used before a reboot.
func (l *Logbook) flush(ctx context.Context, send func(context.Context, []byte) error) {
	for lines := l.batch(); len(lines) > 0; lines = l.batch() {
		if send(ctx, lines) != nil {
			return
		}
	}
}
