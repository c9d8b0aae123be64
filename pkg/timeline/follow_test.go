package timeline

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/event"
)

func TestFollowersEnd(t *testing.T) {
	t.Parallel()
	tl := start(t, small(t.TempDir()), nil)
	publish(tl, 1, 3)
	ctx, cancel := context.WithCancel(t.Context())
	left := tl.Subscribe(ctx, 0)
	take(t, left, 1)
	cancel() // while it has something for us
	for range left {
	}
	idle, busy := tl.Subscribe(t.Context(), tl.Last()), tl.Subscribe(t.Context(), 0)
	tl.stop() // waits for them
	for range idle {
		t.Error("an event came to the one who wanted none")
	}
	for range busy {
	}
	for range tl.Subscribe(t.Context(), 0) {
		t.Error("an event came after the end")
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	tl := start(t, Config{Dir: t.TempDir(), Every: time.Millisecond}, nil)
	first := tl.Publish(event.Event{}).ID
	const writers, each = 8, 2000
	var all sync.WaitGroup
	for range 4 {
		ch := tl.Subscribe(t.Context(), first)
		all.Go(func() {
			for i := range uint64(writers * each) {
				if e := <-ch; e.ID != first+1+i {
					t.Errorf("event %d came as number %d after %d", e.ID, i+1, first)
					return
				}
			}
		})
	}
	for range writers {
		all.Go(func() { publish(tl, 1, each) })
		all.Go(func() { tl.Node(macA, 10); tl.Unknown(time.Time{}) })
	}
	all.Wait()
}
