package timeline

import (
	"context"
	"slices"
	"time"

	"github.com/racker-project/racker/pkg/event"
)

// writer is the state of the one goroutine that writes.
type writer struct {
	lost gaps            // what is missing in files and not said there yet
	runs map[string]bool // runs whose logs were begun in this life
	bad  bool            // the last attempt failed, and the log says so
}

// Run writes until ctx is done, and then what is left. It gives nil: a disk that fails is a warning.
func (t *Timeline) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.wake:
			select { // what comes in a moment is written together
			case <-ctx.Done():
			case <-time.After(t.cfg.Every):
			}
			t.flush()
		}
	}
	t.mu.Lock()
	t.ended = true
	close(t.done)
	t.mu.Unlock()
	t.flush()
	t.flush() // says what the first had to leave out
	t.followers.Wait()
	return nil
}

// maxBatch is how many events are written at a time, so that files are rotated near their size.
const maxBatch = 1024

// flush writes what waits. What cannot be written is counted.
func (t *Timeline) flush() {
	for more := true; more; {
		more = t.flushSome()
	}
}

// flushSome writes one batch, each file once, and reports whether there is more.
func (t *Timeline) flushSome() bool {
	t.mu.Lock()
	batch, over := slices.Clone(t.pending[:min(len(t.pending), maxBatch)]), t.over
	if len(batch) < len(t.pending) {
		over = gaps{} // comes after what waits
	} else {
		t.over = gaps{}
	}
	t.mu.Unlock()

	work := t.sorted(batch)
	for path, g := range t.write.lost {
		if work[path] == nil {
			work[path] = &load{to: g.to}
		}
	}
	var failed error
	for _, w := range work {
		if err := t.put(w); err != nil {
			failed = err // one says what is wrong
		}
	}
	t.write.lost.merge(over)

	t.mu.Lock()
	t.pending = slices.Delete(t.pending, 0, len(batch))
	more := len(t.pending) > 0
	t.mu.Unlock()
	if len(work) == 0 {
		return more
	}
	switch {
	case failed != nil && !t.write.bad:
		t.log.Warn("the timeline is not written, and goes on in memory", "err", failed)
	case failed == nil && t.write.bad:
		t.log.Info("the timeline is written again")
	}
	t.write.bad = failed != nil
	return more
}

// load is what one file gets.
type load struct {
	to     target
	events []event.Event
}

// sorted gives each file its events, by path.
func (t *Timeline) sorted(batch []event.Event) map[string]*load {
	out := map[string]*load{}
	for _, e := range batch {
		for _, to := range t.targets(e) {
			w := out[to.file.path]
			if w == nil {
				w = &load{to: to}
				out[to.file.path] = w
			}
			w.events = append(w.events, e)
		}
	}
	return out
}

// put writes to one file what is missing there and what is new.
func (t *Timeline) put(w *load) error {
	path := w.to.file.path
	events := w.events
	if g := t.write.lost[path]; g != nil {
		events = append([]event.Event{g.event()}, events...)
	}
	var b []byte
	for _, e := range events {
		b = append(b, t.format(w.to, e)...)
	}
	var err error
	switch {
	case w.to.node != "":
		_, err = w.to.file.append(b)
	case w.to.run != "":
		t.begin(w.to.run)
		_, err = w.to.file.append(b)
	default:
		err = t.all.append(events[0].ID, b)
	}
	if err == nil {
		delete(t.write.lost, path)
		return nil
	}
	for _, e := range w.events {
		t.write.lost.miss(w.to, e)
	}
	return err
}

func (t *Timeline) format(to target, e event.Event) []byte {
	if to.run == "" {
		return line(e)
	}
	name := ""
	if e.Node != "" && t.cfg.Name != nil {
		name = t.cfg.Name(e.Node)
	}
	if name == "" {
		name = e.Node
	}
	return runLine(e, name)
}
