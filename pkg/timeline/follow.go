package timeline

import (
	"context"
	"iter"
	"slices"
	"sort"

	"github.com/racker-project/racker/pkg/event"
)

// ahead is how many events may wait in a follower's channel, so that it can send some at a time.
const ahead = 64

// pageSize is how many events are taken from memory at a time.
const pageSize = 256

// Subscribe gives the events with an ID above after, and then every later one, in order. What memory does not hold any
// more is read from disk. After zero, which nobody saw, or an ID that was not given out yet, begins with the oldest event
// in memory, of which there are event.Held. The reader may take its time: it is never cut off, and misses only what is
// rotated away or lost before it comes to it. The channel is closed when ctx is done or Run ends.
func (t *Timeline) Subscribe(ctx context.Context, after uint64) <-chan event.Event {
	out := make(chan event.Event, ahead)
	c := t.from(after)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		close(out)
		return out
	}
	t.followers.Go(func() {
		defer close(out)
		defer c.close()
		for {
			for _, e := range t.page(c) {
				select {
				case out <- e:
				case <-ctx.Done():
					return
				case <-t.done:
					return
				}
			}
			select {
			case <-t.after(c.at):
			case <-ctx.Done():
				return
			case <-t.done:
				return
			}
		}
	})
	return out
}

// Replay gives the events that Subscribe gives first, and ends with the newest of the moment when it began.
func (t *Timeline) Replay(after uint64) iter.Seq[event.Event] {
	return func(yield func(event.Event) bool) {
		end := t.Last()
		c := t.from(after)
		defer c.close()
		for page := t.page(c); len(page) > 0; page = t.page(c) {
			for _, e := range page {
				if e.ID > end || !yield(e) {
					return
				}
			}
		}
	}
}

// from makes a place in the timeline to read on from.
func (t *Timeline) from(after uint64) *cursor {
	if after > t.Last() {
		after = 0
	}
	return &cursor{all: t.all, at: after}
}

// page gives what follows a place, and moves it on.
func (t *Timeline) page(c *cursor) []event.Event {
	out := t.bus.Page(c.at, pageSize)
	fromDisk := false
	if c.at > 0 && len(out) > 0 && out[0].ID > c.at+1 {
		// The disk is read last: what is not there by then was waiting before.
		if waiting := t.waiting(c.at, out[0].ID); len(waiting) > 0 {
			out = waiting
		}
		if old := c.read(); len(old) > 0 && old[0].ID <= out[0].ID {
			out, fromDisk = old, true
		}
	}
	if !fromDisk {
		c.close() // it may have gone on over what was not taken
	}
	if len(out) > 0 {
		c.at = out[len(out)-1].ID
	}
	return out
}

// waiting gives events that are on their way to the disk, with IDs above after and below before.
func (t *Timeline) waiting(after, before uint64) []event.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	above := func(id uint64) int {
		return sort.Search(len(t.pending), func(i int) bool { return t.pending[i].ID > id })
	}
	from := above(after)
	return slices.Clone(t.pending[from:max(from, min(above(before-1), from+pageSize))])
}

// after gives a channel that is closed as soon as there is an event above an ID.
func (t *Timeline) after(id uint64) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.bus.Page(id, 1)) > 0 {
		ready := make(chan struct{})
		close(ready)
		return ready
	}
	if t.news == nil {
		t.news = make(chan struct{})
	}
	return t.news
}
