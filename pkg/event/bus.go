package event

import (
	"context"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"
)

// Held is how many events a Bus keeps for those who ask later.
const Held = 4096

// slack is how many events a subscriber may lag behind before it is dropped.
const slack = 1024

// Bus fans events out. Its methods may be called concurrently, and Publish never waits for a reader. It owns no
// goroutine.
type Bus struct {
	now func() time.Time

	mu   sync.Mutex
	last uint64  // ID of the newest event, or one less than the first
	ring []Event // the newest Held events; the oldest is at head once it is full
	head int
	subs map[*subscriber]struct{}
}

type subscriber struct {
	ch   chan Event
	stop func() bool // unregisters from the context
}

// NewBus gives an empty bus. IDs begin at the clock's milliseconds, so that they grow over restarts of the daemon
// as well.
func NewBus() *Bus { return newBus(time.Now) }

// Resume gives a bus that goes on after an earlier life: last is the newest ID of that life, and kept are its newest
// events, in the order of their IDs. The next ID is above last, and above the clock's milliseconds.
func Resume(last uint64, kept []Event) *Bus {
	b := NewBus()
	b.last = max(b.last, last)
	b.ring = slices.Clone(kept[max(0, len(kept)-Held):])
	return b
}

func newBus(now func() time.Time) *Bus {
	return &Bus{
		now:  now,
		last: uint64(max(0, now().UnixMilli())),
		subs: make(map[*subscriber]struct{}),
	}
}

// Publish gives the event its ID, and the time where it has none, keeps it, and hands it to every subscriber. It
// returns the event as published. The caller must not change Fields afterwards.
func (b *Bus) Publish(e Event) Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.ID = b.last
	if e.Time.IsZero() {
		e.Time = b.now().UTC()
	}
	if len(b.ring) < Held {
		b.ring = append(b.ring, e)
	} else {
		b.ring[b.head] = e
		b.head = (b.head + 1) % Held
	}
	for s := range b.subs {
		select {
		case s.ch <- e:
		default:
			s.stop()
			delete(b.subs, s)
			close(s.ch)
		}
	}
	return e
}

// Last is the ID of the newest event; Subscribe with it gives only what comes later.
func (b *Bus) Last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// Oldest is the ID of the oldest event that is kept; without any, the one that the next will have.
func (b *Bus) Oldest() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ring) == 0 {
		return b.last + 1
	}
	return b.at(0).ID
}

// Since gives the events kept with an ID above after, oldest first. An ID that was not given out yet comes from
// another life of the daemon: everything is given.
func (b *Bus) Since(after uint64) []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since(after)
}

func (b *Bus) since(after uint64) []Event { return b.page(after, len(b.ring)) }

// Page gives the first max events of what Since gives.
func (b *Bus) Page(after uint64, max int) []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.page(after, max)
}

func (b *Bus) page(after uint64, max int) []Event {
	n := len(b.ring)
	skip := 0
	if after <= b.last {
		skip = sort.Search(n, func(i int) bool { return b.at(i).ID > after })
	}
	out := make([]Event, 0, min(n-skip, max))
	for i := skip; i < n && len(out) < max; i++ {
		out = append(out, *b.at(i))
	}
	return out
}

// at is the i-th event of the ring, from the oldest.
func (b *Bus) at(i int) *Event { return &b.ring[(b.head+i)%len(b.ring)] }

// Replay gives what Since gives, as a sequence.
func (b *Bus) Replay(after uint64) iter.Seq[Event] { return slices.Values(b.Since(after)) }

// Subscribe gives what Since gives, and then every later event, in order and without a gap between the two. The
// channel is closed when ctx is done, or early when the reader lags more than a thousand events behind: then it
// subscribes again after the last ID that it saw.
func (b *Bus) Subscribe(ctx context.Context, after uint64) <-chan Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.since(after)
	s := &subscriber{ch: make(chan Event, len(old)+slack)}
	for _, e := range old {
		s.ch <- e
	}
	b.subs[s] = struct{}{}
	s.stop = context.AfterFunc(ctx, func() { b.drop(s) })
	return s.ch
}

func (b *Bus) drop(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.subs[s]; there {
		delete(b.subs, s)
		close(s.ch)
	}
}
