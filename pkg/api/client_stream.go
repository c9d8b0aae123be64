package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/racker-project/racker/pkg/event"
)

// EventQuery says which events a client wants; the zero value means all that are kept.
type EventQuery struct {
	Follow bool   // and those to come
	After  uint64 // only those with an ID above this
	Run    string // only those of this run
	Node   string // only those of the node that has this name, MAC, address, serial or UUID
}

func (q *EventQuery) path() string {
	v := url.Values{"after": {strconv.FormatUint(q.After, 10)}}
	for key, text := range map[string]string{"run": q.Run, "node": q.Node} {
		if text != "" {
			v.Set(key, text)
		}
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	return "/v1/events?" + v.Encode()
}

// Events gives the events kept with an ID above after, and with follow those to come, until ctx is done or the caller
// stops. An empty run means the events of all. See Stream.
func (c *Client) Events(ctx context.Context, follow bool, after uint64, run string) iter.Seq2[event.Event, error] {
	return c.Stream(ctx, EventQuery{Follow: follow, After: after, Run: run})
}

// Stream gives the events that q asks for. The last pair has an error when the stream broke, which matches Unreachable,
// or the daemon refused it; it ends without one when the daemon ended it: with Follow the caller asks again after the
// last ID that it saw, and misses nothing. An event of the kind EventGap says that some in between are not kept.
func (c *Client) Stream(ctx context.Context, q EventQuery) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		resp, err := c.do(ctx, http.MethodGet, q.path(), nil, "")
		if err != nil {
			yield(event.Event{}, err)
			return
		}
		defer resp.Body.Close()
		for dec := json.NewDecoder(resp.Body); ; {
			var e event.Event
			err := dec.Decode(&e)
			switch {
			case errors.Is(err, io.EOF), err == nil && e.Kind == EventEnd:
				return
			case err != nil:
				yield(event.Event{}, c.explain(err))
				return
			case !yield(e, nil):
				return
			}
		}
	}
}
