package event

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// read takes n events.
func read(t *testing.T, ch <-chan Event, n int) []Event {
	t.Helper()
	var out []Event
	timeout := time.After(20 * time.Second)
	for range n {
		select {
		case e, ok := <-ch:
			if !ok {
				t.Fatalf("closed after %d events, want %d", len(out), n)
			}
			out = append(out, e)
		case <-timeout:
			t.Fatalf("%d events came, want %d", len(out), n)
		}
	}
	return out
}

func messages(events []Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.Message
	}
	return out
}

func publish(b *Bus, from, to int) {
	for i := from; i <= to; i++ {
		b.Publish(Event{Kind: FileServed, Message: fmt.Sprint(i)})
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.FixedZone("", 3600))
	b := newBus(func() time.Time { return at })
	first := b.Publish(Event{Kind: Alarm, Node: "52:54:00:00:00:01", Message: "a"})
	second := b.Publish(Event{Kind: Alarm, Message: "b", Time: at.Add(time.Hour), ID: 7})
	want := []Event{
		{ID: uint64(at.UnixMilli()) + 1, Time: at.UTC(), Kind: Alarm, Node: "52:54:00:00:00:01", Message: "a"},
		{ID: uint64(at.UnixMilli()) + 2, Time: at.Add(time.Hour), Kind: Alarm, Message: "b"},
	}
	if d := cmp.Diff(want, []Event{first, second}); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, b.Since(0)); d != "" {
		t.Errorf("kept (-want +got):\n%s", d)
	}
	if b.Last() != second.ID {
		t.Errorf("last is %d, want %d", b.Last(), second.ID)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		published int
		after     int // relative to the first ID; negative for "before all"
		want      int // how many, the newest
	}{
		"nothing published":     {0, 0, 0},
		"all":                   {10, -1, 10},
		"some":                  {10, 7, 3},
		"none":                  {10, 10, 0},
		"from another life":     {10, 11, 10},
		"ring full":             {Held, -1, Held},
		"ring wrapped":          {Held + 5, -1, Held},
		"ring wrapped, some":    {Held + 5, Held, 5},
		"older than the ring":   {Held + 5, 2, Held},
		"twice around, the end": {2*Held + 3, 2*Held + 2, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := NewBus()
			base := b.Last()
			publish(b, 1, tt.published)
			after := uint64(0)
			if tt.after >= 0 {
				after = base + uint64(tt.after)
			}
			want := []string{}
			for i := tt.published - tt.want + 1; i <= tt.published; i++ {
				want = append(want, fmt.Sprint(i))
			}
			if d := cmp.Diff(want, messages(b.Since(after))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	b := NewBus()
	publish(b, 1, 5)
	all := b.Subscribe(t.Context(), 0)
	later := b.Subscribe(t.Context(), b.Last())
	publish(b, 6, 7)
	if d := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7"}, messages(read(t, all, 7))); d != "" {
		t.Errorf("all (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"6", "7"}, messages(read(t, later, 2))); d != "" {
		t.Errorf("later (-want +got):\n%s", d)
	}
}

func TestSubscribeEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBus()
		ctx, cancel := context.WithCancel(t.Context())
		ch := b.Subscribe(ctx, 0)
		publish(b, 1, 1)
		cancel()
		synctest.Wait()
		publish(b, 2, 2)
		if d := cmp.Diff([]string{"1"}, messages(read(t, ch, 1))); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if e, ok := <-ch; ok {
			t.Errorf("event %s came after the end", e.Message)
		}
		if len(b.subs) != 0 {
			t.Errorf("%d subscribers are left", len(b.subs))
		}
	})
}

func TestSlowReaderIsDropped(t *testing.T) {
	t.Parallel()
	b := NewBus()
	publish(b, 1, 3)
	slow := b.Subscribe(t.Context(), 0)
	publish(b, 4, 2*Held) // returns, although nobody reads
	got := read(t, slow, slack+3)
	if _, ok := <-slow; ok {
		t.Error("the slow reader was not dropped")
	}
	rest := b.Subscribe(t.Context(), got[len(got)-1].ID)
	if first := read(t, rest, 1)[0]; first.Message != fmt.Sprint(Held+1) {
		t.Errorf("it goes on with %s, want the oldest that is kept, %d", first.Message, Held+1)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	b := NewBus()
	const writers, each = 8, 100
	var readers, all sync.WaitGroup
	for range 4 {
		ch := b.Subscribe(t.Context(), 0)
		readers.Go(func() {
			first := (<-ch).ID
			for i := range uint64(writers*each - 1) {
				if e := <-ch; e.ID != first+i+1 {
					t.Errorf("event %d came as number %d after %d", e.ID, i+1, first)
				}
			}
		})
	}
	for range writers {
		all.Go(func() { publish(b, 1, each) })
	}
	for range 4 { // subscribers that come and go
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			ch := b.Subscribe(ctx, b.Last())
			cancel()
			for range ch {
			}
		})
	}
	all.Wait()
	readers.Wait()
}
