package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// alarmsKey is where the newest alarms are kept, so that a restart hides none.
const alarmsKey = "alarms"

const (
	// alarmsShown is how long an alarm is shown with the rack's status.
	alarmsShown = 24 * time.Hour
	// alarmsKept bounds the alarms that are kept, and alarmsNamed those that the status names.
	alarmsKept, alarmsNamed = 32, 4
	// alarmPause is how long the same alarm is only counted: whoever makes them can fill no disk.
	alarmPause = time.Minute
	// alarmsPerPause is how many different ones are noted in that time.
	alarmsPerPause = 20
)

// alarmed is one alarm, with how often it was raised.
type alarmed struct {
	MAC   rack.MAC  `json:"mac"`
	Where string    `json:"where"`
	Text  string    `json:"text"`
	At    time.Time `json:"at"` // last
	Count int       `json:"count"`
	noted time.Time // when an event told of it last
}

// alarmBook has the newest alarms, oldest first.
type alarmBook struct {
	mu    sync.Mutex
	list  []alarmed
	since time.Time // of the pause in which fresh were noted
	fresh int
}

// raise counts an alarm, and tells whether it is to be noted; then it gives the list to keep.
func (a *alarmBook) raise(mac rack.MAC, where, text string, now time.Time) (note bool, keep []alarmed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.list, func(old alarmed) bool { return old.MAC == mac && old.Text == text })
	one := alarmed{MAC: mac, Where: where, Text: text}
	if at >= 0 {
		one = a.list[at]
	}
	if now.Sub(a.since) >= alarmPause {
		a.since, a.fresh = now, 0
	}
	one.Count, one.At = one.Count+1, now
	note = now.Sub(one.noted) >= alarmPause && a.fresh < alarmsPerPause
	switch {
	case at < 0 && !note: // too many different ones: only what is known already is counted
		return false, nil
	case note:
		one.noted = now
		a.fresh++
	}
	if at >= 0 {
		a.list = slices.Delete(a.list, at, at+1)
	}
	a.list = append(a.list, one)
	if len(a.list) > alarmsKept {
		a.list = slices.Delete(a.list, 0, len(a.list)-alarmsKept)
	}
	return note, slices.Clone(a.list)
}

// alarm tells the operator of something that should not happen, and refuses the request.
func (m *Machine) alarm(n *rack.Node, text string) error {
	text = sentence(text)
	refused := fmt.Errorf("%s: %s: %w", n.Where(), text, bootd.ErrRefused)
	note, keep := m.alarms.raise(n.Primary, n.Where(), text, time.Now().UTC())
	if !note {
		return refused
	}
	m.log.Warn("alarm", "node", n.Name, "err", text)
	m.note(n.Primary, event.Event{Kind: event.Alarm, Message: n.Where() + ": " + text})
	if err := m.save(context.Background(), alarmsKey, keep); err != nil {
		m.log.Warn("alarm not kept", "node", n.Name, "err", err)
	}
	return refused
}

// recall loads the alarms of before.
func (m *Machine) recall(ctx context.Context) error {
	list, _, err := store.GetJSON[[]alarmed](ctx, m.store, alarmsKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	m.alarms.list = list
	return nil
}

// Alarms are the alarms of the last day, the newest first, one sentence each.
func (m *Machine) Alarms() []string {
	m.alarms.mu.Lock()
	list := slices.Clone(m.alarms.list)
	m.alarms.mu.Unlock()
	var out []string
	more := 0
	for _, a := range slices.Backward(list) {
		switch {
		case time.Since(a.At) > alarmsShown:
			continue
		case len(out) == alarmsNamed:
			more++
			continue
		}
		text := fmt.Sprintf("alarm at %s: %s: %s", a.At.UTC().Format("2006-01-02 15:04:05 UTC"), a.Where, a.Text)
		if a.Count > 1 {
			text += fmt.Sprintf(" (%d times)", a.Count)
		}
		out = append(out, text)
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%d more alarms: racker events", more))
	}
	return out
}

// leaked finds the server whose boot token a machine presented that is not it. An armed or redeemed token that comes from
// elsewhere is known to somebody who listens.
func (m *Machine) leaked(token string, but rack.MAC) *rack.Node {
	if strings.TrimSpace(token) == "" {
		return nil
	}
	for _, n := range m.inForce().list {
		rec := m.record(n.Primary)
		if rec == nil || n.Primary == but {
			continue
		}
		if rec.Job != nil && same(rec.Job.Token.Given, token) || rec.Session != nil && same(rec.Session.Token, token) {
			return n
		}
	}
	return nil
}

// reasonStolen ends the reason of a node whose job was stopped for it.
const reasonStolen = ": the job was stopped"

// stolen stops the job of a server whose boot token somebody else has, raises the alarm, and gives the refusal.
func (m *Machine) stolen(ctx context.Context, n *rack.Node, p bootd.Peer, text string) error {
	refused := m.alarm(n, text+" (from "+p.Addr.String()+")")
	if rec := m.record(n.Primary); rec != nil && rec.State.underway() {
		if err := m.fail(ctx, n.Primary, text+reasonStolen); err != nil {
			return err
		}
	}
	return errors.Join(refused, bootd.ErrSession)
}
