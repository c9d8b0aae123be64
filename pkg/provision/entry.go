package provision

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// entry is one node: its record, and beside it what is known and not worth a place in the store.
type entry struct {
	turn    sync.Mutex // held by whoever writes the record, until it is durable
	rec     atomic.Pointer[Record]
	changed signal

	mu   sync.Mutex
	live live
}

func newEntry(r *Record) *entry {
	e := &entry{}
	e.rec.Store(r)
	e.live.moved = time.Now()
	return e
}

// journalEntry is one transition; progress is never journalled.
type journalEntry struct {
	Time   time.Time `json:"time"`
	MAC    rack.MAC  `json:"mac"`
	Run    string    `json:"run,omitempty"`
	From   State     `json:"from"`
	To     State     `json:"to"`
	Reason string    `json:"reason,omitempty"`
}

// journalPrefix is where the transitions of a run are; "-" stands for no run.
func journalPrefix(run string) string {
	if run == "" {
		run = "-"
	}
	return journalKeys + run + "/"
}

// update changes a record durably, without a change of state: a token given, a step acknowledged. fn returns an error to
// leave all as it was.
func (m *Machine) update(ctx context.Context, mac rack.MAC, fn func(*Record) error) error {
	_, err := m.write(ctx, mac, "", fn)
	return err
}

// transition is the one way into a state. It journals before anybody can act on the new state; fn may change more of
// the record in the same transaction. A transition that the state machine does not have is an error.
func (m *Machine) transition(ctx context.Context, mac rack.MAC, to State, fn func(*Record) error) error {
	from, err := m.write(ctx, mac, to, fn)
	if err != nil {
		return err
	}
	rec := m.record(mac)
	where := mac.String()
	if n, _ := m.node(mac); n != nil {
		where = n.Where()
	}
	text := fmt.Sprintf("%s: %s", where, to)
	if rec.Reason != "" && to == Failed {
		text += ": " + rec.Reason
	}
	m.log.InfoContext(ctx, "state changed", "node", where, "state", to, "from", from, "run", rec.Run)
	m.note(mac, event.Event{Kind: event.Transition, Run: rec.Run, Message: text,
		Fields: map[string]string{"state": string(to), "from": string(from), "reason": rec.Reason}})
	return nil
}

func (m *Machine) write(ctx context.Context, mac rack.MAC, to State, fn func(*Record) error) (State, error) {
	e := m.entry(mac)
	if e == nil {
		return "", fmt.Errorf("%s: %w", mac, ErrNoNode)
	}
	e.turn.Lock()
	defer e.turn.Unlock()
	old := e.rec.Load()
	next := old.clone()
	now := time.Now().UTC()
	if to != "" {
		if !may(old.State, to) {
			return "", fmt.Errorf("%s: %s cannot follow %s: %w", mac, to, old.State, errStale)
		}
		next.enter(to, old.State, now)
	}
	if fn != nil {
		if err := fn(next); err != nil {
			return "", err
		}
	}
	next.Reason = sentence(next.Reason)
	var journal []store.Op
	if to != "" {
		entry := journalEntry{Time: now, MAC: mac, Run: next.Run, From: old.State, To: to, Reason: next.Reason}
		op, err := put(journalPrefix(next.Run)+now.Format("20060102T150405.000000000")+"/"+mac.String(), entry)
		if err != nil {
			return "", err
		}
		journal = append(journal, op)
	}
	// What is to be done is done whole: a caller that goes away must not leave the record behind the store.
	if err := m.save(context.WithoutCancel(ctx), nodeKeys+mac.String(), next, journal...); err != nil {
		m.unwritable(err)
		return "", fmt.Errorf("journal %s: %w", mac, err)
	}
	m.unwritable(nil)
	e.rec.Store(next)
	if to != "" {
		m.entered(e, mac, next)
	}
	e.changed.fire()
	m.any.fire()
	return old.State, nil
}

// enter sets what every change of state sets.
func (r *Record) enter(to, from State, now time.Time) {
	r.State, r.Since = to, now
	if to == Failed {
		r.Step = string(from)
		return
	}
	r.Step, r.Reason, r.Unreached, r.Refused, r.Lasting = "", "", false, false, false
}

// entered begins the node's time in a state.
func (m *Machine) entered(e *entry, mac rack.MAC, rec *Record) {
	e.mu.Lock()
	e.live.progress = nil
	e.live.moved, e.live.spent, e.live.queued = time.Now(), 0, false
	if rec.State == Ready && m.needs.History != nil {
		e.live.evidence = nil // it is on disk, and nobody asks why a ready node does not go on
	}
	e.mu.Unlock()
	if !rec.streaming() {
		m.streams.release(mac)
	}
}

// unwritable remembers that the state cannot be written, and says so once.
func (m *Machine) unwritable(err error) {
	text := ""
	if err != nil {
		text = sentence("the state cannot be written: " + err.Error())
	}
	m.mu.RLock()
	same := m.broken == text
	m.mu.RUnlock()
	if same {
		return
	}
	m.mu.Lock()
	m.broken = text
	m.mu.Unlock()
	m.any.fire()
	if err != nil {
		m.log.Error("state not written", "err", err)
		m.needs.Events.Publish(event.Event{Kind: event.Alarm, Message: text})
	}
}

// Trouble says why the state cannot be written now; empty when it can.
func (m *Machine) Trouble() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.broken
}
