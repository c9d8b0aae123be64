package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// messages asks for events and gives their messages.
func messages(t *testing.T, c *http.Client, query string) []string {
	t.Helper()
	status, body := ask(t, c, "GET", "/v1/events"+query, "")
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, status, body)
	}
	var out []string
	for dec := json.NewDecoder(strings.NewReader(body)); dec.More(); {
		var e event.Event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Message)
	}
	return out
}

func TestEvents(t *testing.T) {
	bus, ids := published(
		event.Event{Kind: event.Alarm, Message: "one", Run: "r", Node: mac1},
		event.Event{Kind: event.Alarm, Message: "two", Node: mac2},
		event.Event{Kind: event.Alarm, Message: "three", Run: "other", Node: mac1},
	)
	_, c := serving(t, bus)
	for query, want := range map[string][]string{
		"":                                       {"one", "two", "three"},
		"?follow=0":                              {"one", "two", "three"},
		"?run=r":                                 {"one"},
		"?node=n1":                               {"one", "three"},
		"?node=n1&run=other":                     {"three"},
		fmt.Sprintf("?after=%d", ids[0]):         {"two", "three"},
		fmt.Sprintf("?after=%d&node=n1", ids[0]): {"three"},
		fmt.Sprintf("?after=%d", ids[2]):         nil,
		fmt.Sprintf("?after=%d", ids[0]-7):       {fmt.Sprintf("events between %d and %d are not kept any more", ids[0]-7, ids[0]), "one", "two", "three"},
		fmt.Sprintf("?after=%d", ids[0]-1):       {"one", "two", "three"},
	} {
		if d := cmp.Diff(want, messages(t, c, query)); d != "" {
			t.Errorf("%q: %s", query, d)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://racker/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", fmt.Sprint(ids[1]))
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e event.Event
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.Message != "three" {
		t.Errorf("with Last-Event-ID: %+v %v", e, err)
	}
}

// followed opens a stream and gives its lines.
func followed(ctx context.Context, t *testing.T, c *http.Client, query string) *json.Decoder {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://racker/v1/events?follow=1"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() }) // only a test reads it
	return json.NewDecoder(bufio.NewReader(resp.Body))
}

func TestFollow(t *testing.T) {
	bus, _ := published(event.Event{Message: "one"}, event.Event{Message: "two"})
	a := newAPI(t.TempDir()+"/racker.sock", bus)
	stop := started(t, a)
	dec := followed(t.Context(), t, dialling(t, a.Path), "")
	var e event.Event
	for _, want := range []string{"one", "two", "three"} {
		if want == "three" {
			bus.Publish(event.Event{Message: "three"})
		}
		if err := dec.Decode(&e); err != nil || e.Message != want {
			t.Fatalf("%+v %v, want %s", e, err, want)
		}
	}
	last := e.ID
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the daemon stops; go on with after=%d", last)
	if err := dec.Decode(&e); err != nil || e.Kind != api.EventEnd || e.ID != last || e.Message != want {
		t.Errorf("last line: %+v %v, want %q", e, err, want)
	}
	if dec.More() {
		t.Error("something follows the last line")
	}
}

// A reader that stops for a while is cut with a line that says from where to go on; so it misses nothing.
func TestSlowReaderMissesNothing(t *testing.T) {
	bus, _ := published(event.Event{Message: "0"})
	_, c := serving(t, bus)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const all = 4000 // events of a kilobyte: more than the socket's buffers and the bus's patience
	pad := map[string]string{"pad": strings.Repeat("x", 1<<10)}
	var got []string
	cuts := 0
	for after := uint64(0); len(got) < all; {
		dec := followed(ctx, t, c, fmt.Sprintf("&after=%d", after))
		for first := true; ; first = false {
			var e event.Event
			if err := dec.Decode(&e); err != nil {
				t.Fatalf("after %d events: %v", len(got), err)
			}
			if after == 0 && first {
				for i := 1; i < all; i++ { // while it does not read
					bus.Publish(event.Event{Message: fmt.Sprint(i), Fields: pad})
				}
			}
			after = e.ID
			if e.Kind == api.EventEnd {
				cuts++
				break
			}
			if got = append(got, e.Message); len(got) == all {
				break
			}
		}
	}
	if cuts == 0 {
		t.Error("the slow reader was never cut")
	}
	for i, m := range got {
		if m != fmt.Sprint(i) {
			t.Fatalf("event %d is %q", i, m)
		}
	}
}

// What is passed on does not depend on which events a client wants: a gap is one of the whole stream.
func TestGapAmongUnwantedEvents(t *testing.T) {
	var out strings.Builder
	s := &stream{enc: json.NewEncoder(&out), last: 5, kept: func() uint64 { return 11 }}
	for _, e := range []event.Event{{ID: 6}, {ID: 7, Run: "r"}, {ID: 8}, {ID: 12, Run: "r"}, {ID: 40, Run: "r"}} { // 40: started again
		if err := s.pass(&e, &query{run: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	var ids []uint64
	for dec := json.NewDecoder(strings.NewReader(out.String())); dec.More(); {
		var e event.Event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	if d := cmp.Diff([]uint64{7, 11, 12, 40}, ids); d != "" {
		t.Error(d)
	}
}
