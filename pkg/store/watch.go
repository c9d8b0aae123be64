package store

import (
	"bytes"
	"context"
	"strings"
	"sync"
)

// watches is the list of watchers. It owns no goroutine of its own: publish sends without blocking, and a watcher
// leaves when its context ends, when it lags, or when the store closes.
type watches struct {
	buffer int

	mu     sync.Mutex
	list   []*watcher
	closed bool
}

type watcher struct {
	prefix string
	ch     chan Change
	stop   func() bool // unregisters from the context
}

func (w *watches) add(ctx context.Context, prefix string) (<-chan Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, ErrClosed
	}
	one := &watcher{prefix: prefix, ch: make(chan Change, w.buffer)}
	w.list = append(w.list, one)
	one.stop = context.AfterFunc(ctx, func() { w.remove(one) })
	return one.ch, nil
}

// publish hands changes, in order, to everybody who watches them.
func (w *watches) publish(changes []Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.list[:0]
	for _, one := range w.list {
		if one.send(changes) {
			kept = append(kept, one)
			continue
		}
		one.stop()
		close(one.ch)
	}
	clear(w.list[len(kept):])
	w.list = kept
}

// send reports false when the watcher lags too far behind. Each watcher gets bytes of its own.
func (w *watcher) send(changes []Change) bool {
	for _, c := range changes {
		if !strings.HasPrefix(c.Key, w.prefix) {
			continue
		}
		c.Value = bytes.Clone(c.Value)
		select {
		case w.ch <- c:
		default:
			return false
		}
	}
	return true
}

func (w *watches) remove(gone *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, one := range w.list {
		if one == gone {
			w.list = append(w.list[:i], w.list[i+1:]...)
			close(one.ch)
			return
		}
	}
}

func (w *watches) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, one := range w.list {
		one.stop()
		close(one.ch)
	}
	w.list = nil
}
