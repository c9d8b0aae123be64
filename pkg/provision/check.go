package provision

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// readings are what the BMCs of a run said, by primary MAC. Views ask BMCs too, so what they read must not decide.
type readings struct {
	mu sync.Mutex
	at map[rack.MAC]api.Power
}

func (r *readings) set(mac rack.MAC, p api.Power) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[mac] = p
}

// checkAll asks every BMC before the first one is ordered anything. When one fails for good, the run ends with nothing
// touched.
func (m *Machine) checkAll(ctx context.Context, id string) error {
	seen := readings{at: map[rack.MAC]api.Power{}}
	g, gctx := errgroup.WithContext(ctx)
	for _, mac := range m.run(id).Nodes {
		g.Go(func() error { return m.check(gctx, id, mac, &seen) })
	}
	if err := g.Wait(); err != nil || ctx.Err() != nil {
		return err
	}
	r := m.run(id)
	var skipped []string
	var nodes []rack.MAC
	bad := m.unfit(r)
	for _, mac := range r.Nodes {
		n, rec := m.node(mac)
		switch {
		case n == nil:
			skipped = append(skipped, mac.String()+": its row is no longer in nodes.csv")
			continue
		case bad == 0 && m.leftAlone(r, rec, seen.at[mac]):
			skipped = append(skipped, n.Where()+": it is on; --power-cycle-running takes it in")
			if err := m.release(ctx, mac); err != nil {
				return err
			}
			continue
		}
		nodes = append(nodes, mac)
	}
	return m.checked(ctx, r, nodes, skipped, bad)
}

// unfit counts the nodes that failed the check of a run.
func (m *Machine) unfit(r *runRecord) int {
	bad := 0
	for _, mac := range r.Nodes {
		if n, rec := m.node(mac); n != nil && rec.State == Failed && rec.Run == r.ID {
			bad++
		}
	}
	return bad
}

// leftAlone reports whether the check takes a node out of its run, since it is on. A node that is back where it was, with
// the run still its own, was taken out by a check that the end of the process cut short.
func (m *Machine) leftAlone(r *runRecord, rec *Record, p api.Power) bool {
	switch {
	case r.Request.PowerCycleRunning || r.Stop || rec.Run != r.ID:
		return false
	case rec.State == CheckingBMC:
		return p != api.PowerOff && !m.agentWaits(rec)
	}
	return !rec.State.underway() && rec.State != Excluded
}

// checked ends the check: nodes may be powered now, or the run is at its end.
func (m *Machine) checked(ctx context.Context, r *runRecord, nodes []rack.MAC, skipped []string, bad int) error {
	stopped := bad > 0 || r.Stop
	if stopped {
		for _, mac := range nodes {
			if err := m.release(ctx, mac); err != nil {
				return err
			}
		}
	}
	return m.updateRun(ctx, r.ID, func(next *runRecord) {
		next.Nodes, next.Skipped = nodes, skipped
		next.Checked = !stopped
		next.Canary = m.pickCanaries(next, nodes)
		if bad > 0 {
			next.Reason = "a BMC check failed; no server was powered off"
		}
	})
}

// check has one BMC asked until its answer, or the policy, decides.
func (m *Machine) check(ctx context.Context, id string, mac rack.MAC, seen *readings) error {
	for ctx.Err() == nil {
		e := m.entry(mac)
		if e == nil {
			return nil // its row went before anything was known of it
		}
		changed := e.changed.next()
		r, runChanged := m.runAt(id)
		over, err := m.checkOn(ctx, r, mac, seen, changed, runChanged)
		if err != nil && !errors.Is(err, errStale) || over {
			return err
		}
	}
	return nil
}

func (m *Machine) checkOn(ctx context.Context, r *runRecord, mac rack.MAC, seen *readings, node, run <-chan struct{}) (over bool, err error) {
	n, rec, err := m.enter(ctx, r.ID, mac)
	if n == nil || err != nil {
		return err == nil, err
	}
	switch rec.State {
	case CheckingBMC:
		if over, err := m.askBMC(ctx, r.ID, n, rec, seen); over || err != nil {
			return over, err
		}
	case Failed:
		if decide(r, rec) == api.OnFailureCancel { // the others are asked all the same, so that all that fail are named
			return true, m.answeredCancel(ctx, r, n, rec)
		}
		return m.failed(ctx, r, n, rec, node, run)
	case Excluded:
		return true, m.fence(ctx, n, rec)
	default:
		return true, nil
	}
	return false, nil
}

// answeredCancel stops the run when it was the operator who said so.
func (m *Machine) answeredCancel(ctx context.Context, r *runRecord, n *rack.Node, rec *Record) error {
	if a := r.Asked[rec.MAC]; a.Answer == api.OnFailureCancel && a.Tries == rec.Tries {
		return m.stopOthers(ctx, r, n)
	}
	return nil
}

// enter brings a node into the check of a run. What an earlier run left under way, since the node's row was gone
// when that run ended, is ended first. n is nil when there is no row.
func (m *Machine) enter(ctx context.Context, id string, mac rack.MAC) (n *rack.Node, rec *Record, err error) {
	n, rec = m.node(mac)
	if n == nil {
		return nil, nil, m.abandon(ctx, id, mac)
	}
	if rec.Run == id {
		return n, rec, nil
	}
	if rec.State.underway() && !rec.held() {
		if err := m.fail(ctx, mac, "run "+rec.Run+" ended without it"); err != nil {
			return nil, nil, err
		}
	}
	err = m.transition(ctx, mac, CheckingBMC, func(r *Record) error {
		r.Run, r.Tries, r.Served = id, 1, ""
		return nil
	})
	return n, m.record(mac), err
}

// askBMC reads one BMC's power state. A refusal of the credentials is final; silence is waited out, since a BMC may only
// now be asking for its address. over is false when the node failed.
func (m *Machine) askBMC(ctx context.Context, id string, n *rack.Node, rec *Record, seen *readings) (over bool, err error) {
	cctx, cancel := context.WithTimeout(ctx, max(m.timeLeft(rec), time.Millisecond))
	defer cancel()
	p, err := m.readPower(cctx, n)
	for err != nil && m.needs.BMCs.Silent(err) && !m.run(id).Stop && pause(cctx, silentPause) {
		p, err = m.readPower(cctx, n)
	}
	switch {
	case ctx.Err() != nil:
		return true, nil
	case err == nil:
		seen.set(n.Primary, p)
		m.note(n.Primary, event.Event{Kind: event.BMCReading, Run: id, Message: "BMC: power is " + string(p)})
		m.queue(n.Primary, true) // until it starts: others may be asked for long
		return true, nil
	case m.run(id).Stop:
		return true, nil // cancelled: nobody waits for this BMC any more
	}
	return false, m.failIn(ctx, n.Primary, CheckingBMC, func(r *Record) {
		r.Reason, r.Unreached, r.Refused = err.Error(), m.unreached(err), m.needs.BMCs.Refused(err)
	})
}

// abandon fails a node whose row went from nodes.csv while a run was at work on it: its order must not wait for the day
// when the row comes back.
func (m *Machine) abandon(ctx context.Context, run string, mac rack.MAC) error {
	rec := m.record(mac)
	if rec == nil || rec.Run != run || !rec.State.underway() {
		return nil
	}
	return m.transition(ctx, mac, Failed, func(r *Record) error {
		r.Reason = "its row went from nodes.csv during the run"
		r.disarm()
		return nil
	})
}

// release puts a node that a run has not begun to install back to where it was. A node whose disk an earlier attempt
// left half written is failed again.
func (m *Machine) release(ctx context.Context, mac rack.MAC) error {
	n, rec := m.node(mac)
	if n == nil || rec.State == Failed || !rec.State.underway() {
		return nil
	}
	to, why := rec.released()
	return m.transition(ctx, mac, to, func(r *Record) error {
		if began := r.Job != nil && r.Job.Began; began && to != Failed {
			return errStale
		}
		r.Reason = why
		r.disarm()
		return nil
	})
}

// released is where a run leaves a node that it has not begun to install.
func (r *Record) released() (to State, why string) {
	switch {
	case r.Job != nil && r.Job.Began:
		return Failed, "left alone by the run; an earlier one left its disk half written"
	case r.up() && r.State != CheckingBMC:
		return Failed, "let go by the run after its system was shut down; racker node boot NODE disk brings it up"
	}
	return r.rest(), ""
}

// silentPause is the time between two questions to a BMC that does not answer.
const silentPause = 2 * time.Second

func (m *Machine) unreached(err error) bool {
	return m.needs.BMCs.Silent(err) || m.needs.BMCs.Refused(err) || errors.Is(err, errNoBMCAddress)
}

// readPower asks the BMC and remembers what it said.
func (m *Machine) readPower(ctx context.Context, n *rack.Node) (api.Power, error) {
	addr, ok := m.bmcAddr(n)
	if !ok {
		return api.PowerUnknown, errNoBMCAddress
	}
	p, err := m.needs.BMCs.Power(ctx, n, addr)
	m.reading(n.Primary, p, err)
	return p, err
}

// reading keeps what a BMC said last, or why it said nothing.
func (m *Machine) reading(mac rack.MAC, p api.Power, err error) {
	m.alive(mac, func(l *live) {
		l.power, l.reached, l.bmcError, l.refused = p, err == nil, "", time.Time{}
		if err != nil {
			l.bmcError = sentence(err.Error())
		}
		if err != nil && m.needs.BMCs.Refused(err) {
			l.refused = time.Now()
		}
	})
	m.any.fire()
}

func (m *Machine) power(mac rack.MAC) api.Power { return m.known(mac).power }

// bmcAddr is where a node's BMC is reached: its own address, else the one that racker leases to its MAC.
func (m *Machine) bmcAddr(n *rack.Node) (netip.Addr, bool) {
	if n.BMCAddress.IsValid() {
		return n.BMCAddress, true
	}
	a, ok := m.Assigned(n.BMC)
	return a.Addr, ok
}
