package event

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ids(events []Event) []uint64 {
	out := []uint64{}
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

func TestResume(t *testing.T) {
	t.Parallel()
	const future = 1 << 60
	b := Resume(future+10, []Event{{ID: future + 1}, {ID: future + 4}, {ID: future + 9}})
	if e := b.Publish(Event{Kind: Alarm}); e.ID != future+11 {
		t.Errorf("it goes on with ID %d", e.ID)
	}
	for after, want := range map[uint64][]uint64{
		0:           {future + 1, future + 4, future + 9, future + 11},
		future + 1:  {future + 4, future + 9, future + 11},
		future + 5:  {future + 9, future + 11}, // an ID that was never given out
		future + 11: {},
		future + 99: {future + 1, future + 4, future + 9, future + 11},
	} {
		if d := cmp.Diff(want, ids(b.Since(after))); d != "" {
			t.Errorf("since %d (-want +got):\n%s", after, d)
		}
		if d := cmp.Diff(want, ids(slices.Collect(b.Replay(after)))); d != "" && len(want) > 0 {
			t.Errorf("replay after %d (-want +got):\n%s", after, d)
		}
		if d := cmp.Diff(want[:min(2, len(want))], ids(b.Page(after, 2))); d != "" {
			t.Errorf("page after %d (-want +got):\n%s", after, d)
		}
	}
	old := NewBus().Last()
	if fresh := Resume(7, nil); len(fresh.Since(0)) != 0 || fresh.Last() < old {
		t.Errorf("resumed from long ago: last %d, below the clock's %d", fresh.Last(), old)
	}
}

func TestResumeKeepsTheNewest(t *testing.T) {
	t.Parallel()
	kept := make([]Event, Held+3)
	for i := range kept {
		kept[i].ID = uint64(i + 1)
	}
	b := Resume(Held+3, kept)
	if got := b.Since(0); len(got) != Held || got[0].ID != 4 {
		t.Errorf("%d events from %d", len(got), got[0].ID)
	}
	b.Publish(Event{})
	if got := b.Since(0); len(got) != Held || got[0].ID != 5 {
		t.Errorf("%d events from %d", len(got), got[0].ID)
	}
}

func TestOldest(t *testing.T) {
	t.Parallel()
	b := NewBus()
	if got, want := b.Oldest(), b.Last()+1; got != want {
		t.Errorf("of nothing: %d, want %d", got, want)
	}
	first := b.Publish(Event{}).ID
	for range Held + 2 {
		b.Publish(Event{})
	}
	if got := b.Oldest(); got != first+3 {
		t.Errorf("%d, want %d", got, first+3)
	}
}
