package provision

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// decide tells what becomes of a node that failed: one of the OnFailure words. The answer to a question counts, once
// there is one; OnFailureAsk means that there is none yet.
func decide(r *runRecord, rec *Record) string {
	if r.Stop {
		return api.OnFailureCancel
	}
	if a, ok := r.Asked[rec.MAC]; ok && a.Tries == rec.Tries && a.Answer != "" {
		return a.Answer
	}
	policy := r.Request.OnFailure
	again := !rec.Refused && !rec.Lasting && rec.Tries <= r.Request.Retries
	switch {
	case policy == api.OnFailureExclude && again:
		return api.OnFailureRetry
	case policy == api.OnFailureRetry && !again:
		return api.OnFailureCancel
	}
	return policy
}

// failed does what the run's policy, or the operator's answer, wants done with a failed node. over tells that the run is
// done with it.
func (m *Machine) failed(ctx context.Context, r *runRecord, n *rack.Node, rec *Record, node, run <-chan struct{}) (over bool, err error) {
	switch decide(r, rec) {
	case api.OnFailureRetry:
		return false, m.again(ctx, r, rec, node, run)
	case api.OnFailureExclude:
		return false, m.exclude(ctx, n.Primary, "left out by run "+r.ID+": "+rec.Reason, notServed)
	case api.OnFailureAsk:
		return false, m.ask(ctx, r, rec, node, run)
	}
	return true, m.stopOthers(ctx, r, n)
}

// retryPause is the pause before an attempt after the first: doubled each time, up to thirty times the first, with a
// jitter of half of it.
func (m *Machine) retryPause(tries int) time.Duration {
	d := min(m.cfg.RetryPause<<min(max(tries-1, 0), 10), 30*m.cfg.RetryPause)
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d)
}

// notServed keeps a run's hands off a node that called back late: it is ready now, and what was decided about its failure
// holds no more.
func notServed(r *Record) error {
	if r.Served == r.Run {
		return errStale
	}
	return nil
}

// again starts a failed node's next attempt after a pause. A run or a node that changes meanwhile is looked at anew.
func (m *Machine) again(ctx context.Context, r *runRecord, rec *Record, node, run <-chan struct{}) error {
	t := time.NewTimer(m.retryPause(rec.Tries))
	defer t.Stop()
	for changed := run; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			return m.transition(ctx, rec.MAC, CheckingBMC, func(next *Record) error {
				if next.Tries != rec.Tries {
					return errStale
				}
				next.Tries++
				return notServed(next)
			})
		case <-node:
			return nil
		case <-changed:
			if r, changed = m.runAt(r.ID); decide(r, rec) != api.OnFailureRetry {
				return nil
			}
		}
	}
}

// stopOthers ends a run after a node failed for good: nodes that are not being written are let go.
func (m *Machine) stopOthers(ctx context.Context, r *runRecord, n *rack.Node) error {
	if r.Stop {
		return nil
	}
	return m.updateRun(ctx, r.ID, func(r *runRecord) {
		if !r.Stop { // another node, or the operator, may have been first
			r.Stop, r.Reason = true, n.Where()+" failed"
			if !r.CanaryOK && slices.Contains(r.Canary, n.Primary) {
				r.Reason = canaryFailed(n.Where())
			}
		}
	})
}

// choices are the answers that a question takes.
func choices() []string {
	return []string{api.OnFailureRetry, api.OnFailureExclude, api.OnFailureCancel}
}

// ask puts the question, and waits until the run or the node changes.
func (m *Machine) ask(ctx context.Context, r *runRecord, rec *Record, node, run <-chan struct{}) error {
	if a, ok := r.Asked[rec.MAC]; !ok || a.Tries != rec.Tries {
		err := m.updateRun(ctx, r.ID, func(next *runRecord) {
			next.Asked[rec.MAC] = asked{At: time.Now().UTC(), Tries: rec.Tries}
		})
		if err == nil {
			m.note(rec.MAC, event.Event{Kind: event.RunChange, Run: r.ID, Message: "the run asks what to do: retry, exclude or cancel"})
		}
		return err
	}
	select {
	case <-ctx.Done():
	case <-node: // it may have called back, late
	case <-run:
	}
	return nil
}

// questions are those of a run that wait for an answer, in the order of its nodes.
func (m *Machine) questions(r *runRecord) []api.Question {
	var out []api.Question
	if r.State != runRunning || r.Stop {
		return nil
	}
	for _, mac := range r.Nodes {
		a, ok := r.Asked[mac]
		n, rec := m.node(mac)
		if ok && a.Answer == "" && n != nil && rec.State == Failed && rec.Tries == a.Tries {
			out = append(out, api.Question{
				Node: mac.String(), Where: n.Where(), Step: rec.Step, Reason: rec.Reason, Asked: a.At, Choices: choices(),
			})
		}
	}
	return out
}

// Answer answers the question about one node, or all that are open. The first answer counts. Errors match ErrNotAsked,
// ErrRequest or ErrNoRun.
func (m *Machine) Answer(ctx context.Context, id string, a api.Answer) (api.RunView, error) {
	if !slices.Contains(choices(), a.Answer) {
		return api.RunView{}, fmt.Errorf("answer %q: want retry, exclude or cancel: %w", a.Answer, ErrRequest)
	}
	r := m.run(id)
	if r == nil {
		return api.RunView{}, fmt.Errorf("%q: %w", id, ErrNoRun)
	}
	var nodes []rack.MAC
	if a.Node != "" {
		n, err := m.server(a.Node)
		if err != nil {
			return api.RunView{}, err
		}
		nodes = []rack.MAC{n.Primary}
	} else {
		nodes = r.Nodes
	}
	err := m.changeRun(ctx, id, func(r *runRecord) error {
		return m.answer(r, nodes, a.Answer)
	})
	if err != nil {
		return api.RunView{}, err
	}
	return m.RunView(id)
}

// answer notes the answer for those of the nodes that are asked about.
func (m *Machine) answer(r *runRecord, nodes []rack.MAC, answer string) error {
	open := map[string]bool{}
	for _, q := range m.questions(r) {
		open[q.Node] = true
	}
	some := false
	for _, mac := range nodes {
		if open[mac.String()] {
			at := r.Asked[mac]
			at.Answer = answer
			r.Asked[mac] = at
			some = true
		}
	}
	if !some {
		return fmt.Errorf("run %s waits for no such answer; another terminal may have been first: %w", r.ID, ErrNotAsked)
	}
	return nil
}

// exclude takes a node out of all runs. Its order goes, unless its disk is half written, and its power-off is due.
// unless gives an error to leave the node as it is; nil for always.
func (m *Machine) exclude(ctx context.Context, mac rack.MAC, why string, unless func(*Record) error) error {
	return m.transition(ctx, mac, Excluded, func(r *Record) error {
		r.Reason, r.Fence = why, fenceDue
		r.disarm()
		if unless != nil {
			return unless(r)
		}
		return nil
	})
}

// fence powers an excluded node off and keeps whether that is sure. It is tried once for each exclusion.
func (m *Machine) fence(ctx context.Context, n *rack.Node, rec *Record) error {
	if rec.State != Excluded || rec.Fence != fenceDue {
		return nil
	}
	why := ""
	addr, ok := m.bmcAddr(n)
	if !ok {
		why = errNoBMCAddress.Error()
	} else {
		err := m.softly(ctx, n, addr, rec)
		if err == nil {
			pctx, cancel := context.WithTimeout(ctx, m.cfg.Deadlines.Power)
			defer cancel()
			err = m.needs.BMCs.SetPower(pctx, n, addr, false)
		}
		if ctx.Err() != nil {
			return nil // at the next start
		}
		if err != nil {
			why = sentence(err.Error())
		} else {
			m.reading(n.Primary, api.PowerOff, nil)
		}
	}
	text := "excluded: power is off, verified"
	if why != "" {
		text = "excluded, but not fenced: " + why
	}
	m.note(n.Primary, event.Event{Kind: event.BMCReading, Message: text})
	err := m.update(ctx, n.Primary, func(r *Record) error {
		if r.State != Excluded || r.Fence != fenceDue {
			return errStale
		}
		r.Fence = why
		return nil
	})
	if errors.Is(err, errStale) {
		return nil
	}
	return err
}

// fenceAll does, at the start, what power-offs of excluded nodes are due.
func (m *Machine) fenceAll(ctx context.Context) error {
	for _, n := range m.inForce().list {
		if rec := m.record(n.Primary); rec != nil {
			if err := m.fence(ctx, n, rec); err != nil {
				m.log.WarnContext(ctx, "excluded node not fenced", "node", n.Name, "err", err)
			}
		}
	}
	return nil
}
