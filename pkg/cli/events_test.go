package cli

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/stdio"
)

// streams gives one stream of events after the other, and remembers from where each was asked for.
type streams struct {
	list  [][]event.Event
	errs  []error
	after []uint64
	end   context.CancelFunc // called with the last
}

func (s *streams) Events(_ context.Context, _ bool, after uint64, _ string) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		n := len(s.after)
		s.after = append(s.after, after)
		if n == len(s.list)-1 && s.end != nil {
			defer s.end()
		}
		for _, e := range s.list[min(n, len(s.list)-1)] {
			if !yield(e, nil) {
				return
			}
		}
		if s.errs[n] != nil {
			yield(event.Event{}, s.errs[n])
		}
	}
}

func TestEventsFollowOverRestarts(t *testing.T) {
	t.Parallel()
	_, gone := api.NewClient("/nowhere/racker.sock").Rack(t.Context())
	one := func(id uint64) []event.Event {
		return []event.Event{{ID: id, Time: testTime(), Kind: event.BMCReading, Message: "on"}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	src := &streams{list: [][]event.Event{one(7), nil, one(8), one(9)}, errs: []error{gone, gone, nil, nil}, end: cancel}
	io, _, out, _ := stdio.Test()
	o := eventsOptions{IO: io, Follow: true, JSON: true, pause: time.Microsecond, Events: func() (eventSource, error) { return src, nil }}
	if err := o.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if d := cmp.Diff([]uint64{0, 7, 7, 8}, src.after); d != "" {
		t.Errorf("asked after (-want +got):\n%s", d)
	}
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d events were printed, want 3:\n%s", got, out)
	}
}

func TestEventsEndWithARefusal(t *testing.T) {
	t.Parallel()
	refused := &api.Error{Message: "after: not a number", Code: codeUsage}
	src := &streams{list: [][]event.Event{nil}, errs: []error{refused}}
	io, _, _, _ := stdio.Test()
	o := eventsOptions{IO: io, Follow: true, Events: func() (eventSource, error) { return src, nil }}
	if err := o.run(t.Context()); !errors.Is(err, refused) {
		t.Errorf("got %v, want %v", err, refused)
	}
}

func TestEventsOnATerminal(t *testing.T) {
	t.Parallel()
	io, _, out, _ := stdio.Test()
	io.OutTTY = true
	o := eventsOptions{IO: io}
	for _, e := range []event.Event{
		{Time: testTime(), Kind: event.Alarm, Message: "look\x1b[2J here"},
		{Time: testTime(), Kind: event.DHCPSeen, Node: "52:54:00:00:00:01", Message: "ACK", Fields: map[string]string{"ip": "10.0.0.1"}},
		{Time: testTime(), Kind: event.DHCPSeen, Message: "ACK 10.0.0.1", Fields: map[string]string{"ip": "10.0.0.1", "xid": "0x1"}},
	} {
		if err := o.print(&e); err != nil {
			t.Fatal(err)
		}
	}
	at := testTime().Local().Format(time.TimeOnly)
	want := "\x1b[31m" + at + "  alarm      -                  look [2J here\x1b[0m\n" +
		at + "  dhcp       52:54:00:00:00:01  ACK  \x1b[2mip=10.0.0.1\x1b[0m\n" +
		at + "  dhcp       -                  ACK 10.0.0.1  \x1b[2mxid=0x1\x1b[0m\n" // what the message says is not said twice
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
