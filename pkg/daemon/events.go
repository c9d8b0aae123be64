package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// jsonLines is the media type of one JSON value per line.
const jsonLines = "application/x-ndjson"

// query says which events a client wants.
type query struct {
	after  uint64
	follow bool
	run    string
	node   string // primary MAC
}

// query reads the query of a request. An unknown run or node is an error, so that nobody waits for nothing.
func (a *API) query(r *http.Request) (query, error) {
	v := r.URL.Query()
	q := query{run: v.Get("run")}
	after := v.Get("after")
	if after == "" {
		after = r.Header.Get("Last-Event-ID")
	}
	var err error
	if after != "" {
		if q.after, err = strconv.ParseUint(after, 10, 64); err != nil {
			return q, &api.Error{Message: fmt.Sprintf("after: %q is not the ID of an event", after), Code: 2}
		}
	}
	if q.follow, err = flag(r, "follow"); err != nil {
		return q, err
	}
	if q.run != "" {
		if _, err := a.Operator.RunView(q.run); err != nil {
			return q, err
		}
	}
	if word := v.Get("node"); word != "" {
		n, err := a.Operator.Node(r.Context(), word)
		if err != nil {
			return q, err
		}
		q.node = n.PrimaryMAC
	}
	return q, nil
}

func (q *query) wants(e *event.Event) bool {
	return (q.run == "" || e.Run == q.run) && (q.node == "" || e.Node == q.node)
}

// events streams JSON lines. With follow it goes on until the client leaves, the client reads too slowly, or the daemon
// stops. The last line then says so, and its ID is that to go on from.
func (a *API) events(w http.ResponseWriter, r *http.Request) {
	q, err := a.query(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", jsonLines)
	w.WriteHeader(http.StatusOK)
	s := stream{enc: json.NewEncoder(w), ctl: http.NewResponseController(w), kept: a.Events.Oldest, last: q.after}
	if !q.follow {
		for e := range a.Events.Replay(q.after) {
			if s.pass(&e, &q) != nil {
				return
			}
		}
		return
	}
	for more := a.Events.Subscribe(ctx, q.after); ; {
		e, ok, err := s.next(more)
		stopping := ctx.Err() != nil // what waits by then is for the next stream
		if err == nil && ok && !stopping {
			err = s.pass(&e, &q)
		}
		switch {
		case err != nil:
			return // the client has gone, or sleeps
		case !ok || stopping:
			s.end(stopping)
			return
		}
	}
}

// stream is one client's stream of events.
type stream struct {
	enc  *json.Encoder
	ctl  *http.ResponseController
	kept func() uint64 // ID of the oldest event that is kept
	last uint64        // ID up to which the client has seen all that it wanted
}

// next waits for an event. Before it waits, what was written is sent.
func (s *stream) next(more <-chan event.Event) (e event.Event, ok bool, err error) {
	select {
	case e, ok = <-more:
		return e, ok, nil
	default:
	}
	if err := s.ctl.Flush(); err != nil {
		return event.Event{}, false, err
	}
	e, ok = <-more
	return e, ok, nil
}

// pass sends an event that the client wants; before it, whether any that the client might have wanted are gone. IDs
// jump when the daemon is started again, so a jump alone says nothing.
func (s *stream) pass(e *event.Event, q *query) error {
	if s.last != 0 && e.ID > s.last+1 && s.kept() > s.last+1 {
		gap := event.Event{ID: e.ID - 1, Time: e.Time, Kind: api.EventGap,
			Message: fmt.Sprintf("events between %d and %d are not kept any more", s.last, e.ID)}
		if err := s.enc.Encode(gap); err != nil {
			return err
		}
	}
	s.last = e.ID
	if !q.wants(e) {
		return nil
	}
	return s.enc.Encode(e)
}

// end says why a stream is over that was to go on.
func (s *stream) end(stopping bool) {
	why := "you read too slowly"
	if stopping {
		why = "the daemon stops"
	}
	_ = s.enc.Encode(event.Event{ID: s.last, Time: time.Now().UTC(), Kind: api.EventEnd,
		Message: fmt.Sprintf("%s; go on with after=%d", why, s.last)}) // the client has gone
}
