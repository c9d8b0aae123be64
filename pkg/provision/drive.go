package provision

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// Run drives the runs in progress, and those that are submitted, until ctx is done. A run that was cut short by the end of
// the process goes on at the next start.
func (m *Machine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.keepDeadlines(ctx) })
	g.Go(func() error { return m.fenceAll(ctx) })
	g.Go(func() error { return m.keepNames(ctx) })
	for {
		for _, id := range m.undriven() {
			g.Go(func() error { return m.carry(ctx, id) })
		}
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-m.kick:
		}
	}
}

// undriven takes the runs in progress that nobody drives.
func (m *Machine) undriven() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for id, r := range m.runs {
		if r.rec.Load().State == runRunning && !r.driven {
			r.driven = true
			out = append(out, id)
		}
	}
	return out
}

// storePause is how long a run waits before it tries again to write its state.
const storePause = time.Second

// carry drives one run to its end. A state that cannot be written holds it up: nothing is done that is not journalled.
// What fails only because the process is stopping is no error: the run goes on at the next start.
func (m *Machine) carry(ctx context.Context, id string) error {
	for {
		err := m.drive(ctx, id)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed):
			return err
		}
		m.log.ErrorContext(ctx, "run held up", "run", id, "err", err)
		if !pause(ctx, storePause) {
			return nil
		}
	}
}

// drive carries a run from where it is to its end. It returns early, with the run still open, when ctx is done.
func (m *Machine) drive(ctx context.Context, id string) error {
	if r := m.run(id); r == nil || r.State != runRunning {
		return nil // over, and only its end could not be written down in full
	} else if !r.Checked {
		if err := m.checkAll(ctx, id); err != nil || ctx.Err() != nil {
			return err
		}
	}
	r := m.run(id)
	if r.Checked {
		if err := m.driveAll(ctx, r); err != nil || ctx.Err() != nil {
			return err
		}
	}
	if err := m.finish(ctx, id); err != nil {
		return err
	}
	if err := m.trim(ctx); err != nil {
		m.log.WarnContext(ctx, "old runs not forgotten", "err", err)
	}
	return nil
}

// driveAll drives the canaries first, where the run has them, and then everybody.
func (m *Machine) driveAll(ctx context.Context, r *runRecord) error {
	if r.Apply != nil {
		return m.driveApply(ctx, r.ID)
	}
	if len(r.Canary) > 0 && !r.CanaryOK {
		if err := m.driveNodes(ctx, r.ID, r.Canary); err != nil || ctx.Err() != nil {
			return err
		}
		if err := m.judgeCanaries(ctx, r.ID); err != nil {
			return err
		}
	}
	return m.driveNodes(ctx, r.ID, r.Nodes)
}

// judgeCanaries lets the others go on when every canary is ready, and stops the run when one is not.
func (m *Machine) judgeCanaries(ctx context.Context, id string) error {
	r := m.run(id)
	bad := ""
	for _, mac := range r.Canary {
		if n, rec := m.node(mac); n == nil {
			bad = mac.String()
		} else if !r.reached(rec) {
			bad = n.Where()
		}
	}
	return m.updateRun(ctx, id, func(r *runRecord) {
		r.CanaryOK = bad == ""
		if bad != "" && !r.Stop {
			r.Stop, r.Reason = true, canaryFailed(bad)
		}
	})
}

func canaryFailed(where string) string {
	return "canary " + where + " failed; the others were not touched"
}

// reached reports whether a node is where the run wants it.
func (r *runRecord) reached(rec *Record) bool {
	if r.Request.StopAt == api.StopAtAgent {
		return rec.held()
	}
	return rec.Served == r.ID && (rec.State == Ready || !installs(r.Request.Provision))
}

// pickCanaries gives one node of each type, the first in the file.
func (m *Machine) pickCanaries(r *runRecord, nodes []rack.MAC) []rack.MAC {
	if r.Request.Canary == api.CanaryOff || r.Request.Canary == api.CanaryAuto && len(nodes) <= canaryAbove {
		return nil
	}
	var out []rack.MAC
	types := map[string]bool{}
	for _, mac := range nodes {
		if n, rec := m.node(mac); n != nil && rec.State == CheckingBMC && !types[n.Type] {
			types[n.Type] = true
			out = append(out, mac)
		}
	}
	return out
}

// canaryAbove is the number of nodes above which a run has canaries by default.
const canaryAbove = 8

func (m *Machine) driveNodes(ctx context.Context, id string, nodes []rack.MAC) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, mac := range nodes {
		g.Go(func() error { return m.driveNode(gctx, id, mac) })
	}
	tctx, stop := context.WithCancel(gctx)
	var tables errgroup.Group
	tables.Go(func() error { return m.confirmTables(tctx, id) })
	err := g.Wait()
	stop()
	return errors.Join(err, tables.Wait())
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
	e := m.entry(mac)
	if e == nil {
		return true, nil
	}
	changed := e.changed.next()
	r, runChanged := m.runAt(id)
	n, rec := m.node(mac)
	if n == nil {
		return true, m.abandon(ctx, id, mac)
	}
	if rec.Run != id {
		return true, nil
	}
	if done, err := m.leaves(ctx, r, rec); done {
		return false, err
	}
	switch rec.State {
	case Ready, Known:
		return true, nil
	case Excluded:
		return true, m.fence(ctx, n, rec)
	case Failed:
		return m.failed(ctx, r, n, rec, changed, runChanged)
	case CheckingBMC:
		return false, m.start(ctx, r, n, rec)
	case Powering:
		return false, m.powerUp(ctx, n, rec)
	case Agent:
		if rec.held() {
			return true, nil
		}
	case Booted:
		if rec.settled() { // nothing more will come of it
			return false, m.transition(ctx, mac, Ready, served)
		}
	}
	return false, m.wait(ctx, n, rec, changed, runChanged)
}

// settled reports whether a booted node is ready without a callback.
func (r *Record) settled() bool {
	return r.Install == nil || !r.Awaited && (r.Install.Plain || r.Callback != nil)
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

// finish ends a run and gives it the exit code that it deserves.
func (m *Machine) finish(ctx context.Context, id string) error {
	state, code := m.verdict(m.run(id))
	err := m.updateRun(ctx, id, func(r *runRecord) {
		r.State, r.Code, r.Ended, r.Asked = state, code, time.Now().UTC(), nil
	})
	if err == nil {
		m.published(id, "is "+state)
	}
	return err
}

// tally counts a run's nodes at its end.
type tally struct {
	reached   int // where the run wants them
	failed    int
	unreached int // of those that failed: for their BMC
	out       int // excluded
}

func (m *Machine) tally(r *runRecord) (t tally) {
	for _, mac := range r.Nodes {
		rec := m.record(mac)
		switch {
		case rec == nil:
		case rec.State == Excluded:
			t.out++
		case rec.Run == r.ID && r.Checked && r.reached(rec):
			t.reached++
		case rec.State == Failed:
			t.failed++
			if rec.Unreached {
				t.unreached++
			}
		}
	}
	return t
}

// verdict tells how a run ended: 6 when BMCs alone were the fault, 3 when some of its servers are where they should be, 1
// when none is.
func (m *Machine) verdict(r *runRecord) (state string, code int) {
	t := m.tally(r)
	if r.Apply != nil {
		return r.applyVerdict(t.reached > 0)
	}
	if r.enough(t) {
		return runDone, 0
	}
	state = runFailed
	if r.Stop && t.failed == 0 && t.out == 0 {
		state = runCancelled
	}
	left := t.out + len(r.Skipped)
	switch {
	case t.reached == 0 && t.unreached > 0 && (t.failed == t.unreached || !r.Checked):
		return state, 6
	case t.reached > 0, t.failed == 0 && left > 0:
		return state, 3
	}
	return state, 1
}

// enough reports whether a run did what it was for: with all of its nodes, or with as many as the operator named.
func (r *runRecord) enough(t tally) bool {
	all := t.reached == len(r.Nodes) && len(r.Skipped) == 0
	return t.reached > 0 && (all || r.Request.MinReady > 0 && t.reached >= r.Request.MinReady)
}
