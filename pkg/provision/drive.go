package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// drive carries a run from where it is to its end. It returns early, with the run still open, when ctx is done.
func (m *Machine) drive(ctx context.Context, id string) error {
	run := m.run(id)
	if !run.Checked {
		if err := m.checkAll(ctx, run); err != nil {
			return err
		}
		run = m.run(id)
	}
	if ctx.Err() != nil {
		return nil
	}
	if run.Checked {
		g, gctx := errgroup.WithContext(ctx)
		for _, mac := range run.Nodes {
			g.Go(func() error { return m.driveNode(gctx, id, mac) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return m.finish(ctx, id)
}

// driveNode carries one node to ready, failed or out of the run. Errors are the store's; a node's own failures are states.
func (m *Machine) driveNode(ctx context.Context, id string, mac rack.MAC) error {
	for ctx.Err() == nil {
		over, err := m.driveOn(ctx, id, mac)
		if err != nil && !errors.Is(err, errStale) {
			return err
		}
		if over {
			return nil
		}
	}
	return nil
}

// driveOn does what the node's state asks for, or waits for it to change. over tells that the run is done with the node.
func (m *Machine) driveOn(ctx context.Context, id string, mac rack.MAC) (over bool, err error) {
	changed := m.changes()
	n, rec := m.node(mac)
	run := m.run(id)
	if n == nil {
		return true, m.abandon(ctx, id, mac)
	}
	if rec.Run != id {
		return true, nil
	}
	if run.Stop && rec.mayLeave() {
		return false, m.release(ctx, mac)
	}
	switch rec.State {
	case Ready, Known, Excluded:
		return true, nil
	case Failed:
		if m.again(ctx, run, mac, rec) {
			return false, nil
		}
		return true, m.stopOthers(ctx, run, n)
	case CheckingBMC:
		return false, m.arm(ctx, run, mac)
	case Powering:
		return false, m.powerUp(ctx, n, rec)
	case Booted:
		if rec.Install != nil && rec.Install.Plain { // nothing more will come of it
			return false, m.transition(ctx, mac, Ready, nil)
		}
	}
	return false, m.wait(ctx, n, rec, changed)
}

// mayLeave reports whether a run that stops can let go of the node: this attempt has not begun to write its disk.
func (r *Record) mayLeave() bool {
	switch r.State {
	case CheckingBMC:
		return true // a job that is still there is an earlier attempt's
	case Powering, Netbooting, Agent, Installing:
		return r.Job == nil || !r.writing()
	}
	return false
}

// again starts a failed node's next attempt, if the run allows one.
func (m *Machine) again(ctx context.Context, run *runRecord, mac rack.MAC, rec *Record) bool {
	if run.Stop || rec.Refused || run.Request.OnFailure != "retry" || rec.Tries > run.Request.Retries {
		return false
	}
	err := m.transition(ctx, mac, CheckingBMC, func(r *Record) error {
		r.Tries++
		return nil
	})
	return err == nil
}

// stopOthers ends a run after a node failed for good: nodes that are not being written are let go.
func (m *Machine) stopOthers(ctx context.Context, run *runRecord, n *rack.Node) error {
	if run.Stop {
		return nil
	}
	return m.updateRun(ctx, run.ID, func(r *runRecord) {
		if !r.Stop { // another node, or the operator, may have been first
			r.Stop, r.Reason = true, n.Where()+" failed"
		}
	})
}

// arm gives the node its job and lets it go on to be powered.
func (m *Machine) arm(ctx context.Context, run *runRecord, mac rack.MAC) error {
	return m.transition(ctx, mac, Powering, func(r *Record) error {
		began := r.Job != nil && r.Job.Began
		r.Job = &Job{
			ID: "job-" + secret()[:10], Kind: api.JobInstall, Image: run.Image, Steps: jobSteps(),
			SSHKeys: run.Request.SSHKeys, Callback: secret(), Began: began,
		}
		r.Session = nil
		return nil
	})
}

// powerUp brings the node to a network boot: verified off, boot device set and read back, on. Each order is idempotent, so
// that a daemon that died in between does it again.
func (m *Machine) powerUp(ctx context.Context, n *rack.Node, rec *Record) error {
	pctx, cancel := context.WithTimeout(ctx, m.cfg.Deadlines.Power)
	defer cancel()
	addr, ok := m.bmcAddr(n)
	if !ok {
		return m.failIn(ctx, n.Primary, Powering, func(r *Record) { r.Reason = "its BMC has no address in the plan" })
	}
	orders := []struct {
		said string
		do   func() error
	}{
		{"power is off", func() error { return m.needs.BMCs.SetPower(pctx, n, addr, false) }},
		{"boot device is the network", func() error { return m.needs.BMCs.SetBoot(pctx, n, addr, true, rec.uefi()) }},
		{"power is on", func() error { return m.needs.BMCs.SetPower(pctx, n, addr, true) }},
	}
	for _, o := range orders {
		err := o.do()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			// The server may have checked in by now: then it is on, whatever its BMC says.
			return m.failIn(ctx, n.Primary, Powering, func(r *Record) {
				r.Reason, r.Unreached, r.Refused = err.Error(), m.unreached(err), m.needs.BMCs.Refused(err)
			})
		}
		m.note(n.Primary, event.Event{Kind: event.BMCReading, Run: rec.Run, Message: "BMC: " + o.said})
	}
	m.reading(n.Primary, api.PowerOn, nil)
	return m.transition(ctx, n.Primary, Netbooting, nil)
}

// wait holds until something changes or the state's deadline passes, and then fails the node with what was seen last.
func (m *Machine) wait(ctx context.Context, n *rack.Node, rec *Record, changed <-chan struct{}) error {
	limit := m.limit(rec)
	m.mu.Lock()
	since := m.live[n.Primary].moved
	m.mu.Unlock()
	t := time.NewTimer(time.Until(since.Add(limit)))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-t.C:
		reason := fmt.Sprintf("nothing new for %s in state %s; last seen: %s", limit, rec.State, m.lastSeen(n.Primary))
		return m.failIn(ctx, n.Primary, rec.State, func(r *Record) { r.Reason = reason })
	}
	return nil
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

func (m *Machine) limit(rec *Record) time.Duration {
	d := m.cfg.Deadlines
	switch rec.State {
	case Netbooting:
		return d.Netboot
	case Agent:
		return d.Agent
	case Installing:
		return d.Stalled
	}
	return d.Boot
}

func (m *Machine) lastSeen(mac rack.MAC) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.live[mac]
	if l == nil || len(l.evidence) == 0 {
		return "nothing"
	}
	return l.evidence[len(l.evidence)-1].Text
}

// finish ends a run and gives it the exit code that it deserves.
func (m *Machine) finish(ctx context.Context, id string) error {
	state, code := m.verdict(m.run(id))
	err := m.updateRun(ctx, id, func(r *runRecord) {
		r.State, r.Code, r.Ended = state, code, time.Now().UTC()
	})
	m.needs.Events.Publish(event.Event{Kind: event.RunChange, Run: id, Message: "run " + id + " is " + state})
	return err
}

// verdict tells how a run ended: 6 when BMCs alone were the fault, 3 when some of its servers are ready, 1 when none is.
func (m *Machine) verdict(run *runRecord) (state string, code int) {
	ready, bad, unreached := m.count(run)
	if ready == len(run.Nodes) && ready > 0 && len(run.Skipped) == 0 {
		return runDone, 0
	}
	state = runFailed
	if run.Stop && bad == 0 {
		state = runCancelled
	}
	switch {
	case ready == 0 && unreached > 0 && (bad == unreached || !run.Checked):
		return state, 6
	case ready > 0 || bad == 0 && len(run.Skipped) > 0:
		return state, 3
	}
	return state, 1
}

// count counts a run's nodes that are ready, that failed, and that failed for their BMC.
func (m *Machine) count(run *runRecord) (ready, bad, unreached int) {
	for _, mac := range run.Nodes {
		_, rec := m.node(mac)
		switch {
		case rec == nil:
		case rec.State == Ready && run.Checked:
			ready++
		case rec.State == Failed:
			bad++
			if rec.Unreached {
				unreached++
			}
		}
	}
	return ready, bad, unreached
}
