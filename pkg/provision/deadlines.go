package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// saveEvery is how often the time that nodes spent in their states is stored. A daemon that was killed gives them at most
// this much more.
const saveEvery = 10 * time.Second

// spent is the time without news that a node had in a state.
type spent struct {
	State State         `json:"state"`
	Time  time.Duration `json:"time"`
}

// keepDeadlines stores, while a run is open, how long its nodes waited: a deadline stands still while the daemon is down.
func (m *Machine) keepDeadlines(ctx context.Context) error {
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for waited := 1; ; { // the first time it is written whatever it is: nobody may wait any more
		select {
		case <-ctx.Done():
			// The last word is worth a moment after the end.
			wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			m.saveDeadlines(wctx, waited)
			return nil
		case <-t.C:
			waited = m.saveDeadlines(ctx, waited)
		}
	}
}

// saveDeadlines gives how many nodes wait. It writes nothing when none does, and none did the last time.
func (m *Machine) saveDeadlines(ctx context.Context, before int) int {
	all := map[rack.MAC]spent{}
	for _, n := range m.inForce().list {
		rec := m.record(n.Primary)
		if rec == nil || !rec.State.underway() {
			continue
		}
		m.alive(n.Primary, func(l *live) {
			if !l.queued { // who stands in a queue spends nothing
				all[n.Primary] = spent{rec.State, l.spent + time.Since(l.moved)}
			}
		})
	}
	if len(all) == 0 && before == 0 {
		return 0
	}
	if err := m.save(ctx, deadlinesKey, all); err != nil {
		m.log.WarnContext(ctx, "deadlines not stored", "err", err)
	}
	return len(all)
}

// restoreDeadlines sets the clocks of all nodes back to where they stood.
func (m *Machine) restoreDeadlines(ctx context.Context) error {
	kv, err := m.store.Get(ctx, deadlinesKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load deadlines: %w", err)
	}
	var all map[rack.MAC]spent
	if err := json.Unmarshal(kv.Value, &all); err != nil {
		return fmt.Errorf("stored deadlines: %w", err)
	}
	for mac, e := range m.nodes {
		if s := all[mac]; s.State == e.rec.Load().State && s.Time > 0 {
			e.live.spent = s.Time
		}
	}
	return nil
}

// limit is how long a node may stay without news in its state; 0 for as long as it likes.
func (m *Machine) limit(rec *Record) time.Duration {
	d := m.cfg.Deadlines
	switch rec.State {
	case CheckingBMC:
		return d.CheckBMC
	case Powering:
		return d.Power
	case Netbooting:
		return d.Netboot
	case Agent:
		if rec.held() || m.asks(rec) {
			return 0
		}
		return d.Agent
	case Installing:
		return d.Stalled
	case Installed, Booted:
		return d.Boot
	}
	return 0
}

// timeLeft is what is left of a node's time in its state; a node that stands in a queue loses none.
func (m *Machine) timeLeft(rec *Record) time.Duration {
	limit := m.limit(rec)
	left := limit
	m.alive(rec.MAC, func(l *live) {
		// An agent that is not there any more does not wait for a stream.
		if !l.queued || rec.State == Agent && time.Since(l.heard) > agentPatience {
			left = limit - l.spent - time.Since(l.moved)
		}
	})
	return left
}

// wait holds until something changes or the state's time is up, and then fails the node with what was seen last.
func (m *Machine) wait(ctx context.Context, n *rack.Node, rec *Record, node, run <-chan struct{}) error {
	limit := m.limit(rec)
	var up <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(max(m.timeLeft(rec), 0))
		defer t.Stop()
		up = t.C
	}
	if !either(ctx, up, node, run) {
		return nil
	}
	if m.timeLeft(rec) > 0 { // there was news meanwhile
		return nil
	}
	reason := fmt.Sprintf("nothing new for %s in state %s; last seen: %s", limit, rec.State, m.lastSeen(n.Primary))
	return m.failIn(ctx, n.Primary, rec.State, func(r *Record) { r.Reason = reason })
}

// either waits for the first of all, and reports whether it was the time.
func either(ctx context.Context, up <-chan time.Time, a, b <-chan struct{}) bool {
	select {
	case <-ctx.Done():
	case <-a:
	case <-b:
	case <-up:
		return true
	}
	return false
}

// failIn fails a node that is still in a state. When it went on meanwhile the error matches errStale.
func (m *Machine) failIn(ctx context.Context, mac rack.MAC, in State, why func(*Record)) error {
	return m.transition(ctx, mac, Failed, func(r *Record) error {
		if r.Step != string(in) { // the state that it comes from
			return errStale
		}
		why(r)
		r.disarm()
		return nil
	})
}

// fail ends a node's way in this run. Before the write began the job is disarmed and the node boots from disk; after it
// the job stays armed, so that a reboot comes back to the microkernel and never to the half-written disk. A node that
// cannot fail any more, since it is ready or failed before, is left as it is. The error is the store's: then nobody may
// be told that the failure was noted.
func (m *Machine) fail(ctx context.Context, mac rack.MAC, reason string) error {
	return m.failFor(ctx, mac, reason, false)
}

func (m *Machine) failFor(ctx context.Context, mac rack.MAC, reason string, lasting bool) error {
	err := m.transition(ctx, mac, Failed, func(r *Record) error {
		r.Reason, r.Lasting = reason, lasting
		r.disarm()
		return nil
	})
	if errors.Is(err, errStale) {
		m.log.WarnContext(ctx, "node not failed", "mac", mac, "err", err, "reason", reason)
		return nil
	}
	return err
}
