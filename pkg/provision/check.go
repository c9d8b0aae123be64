package provision

import (
	"context"
	"fmt"
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

// checkAll asks every BMC before the first one is ordered anything. When one fails, the run ends with nothing touched.
func (m *Machine) checkAll(ctx context.Context, run *runRecord) error {
	seen := readings{at: map[rack.MAC]api.Power{}}
	g, gctx := errgroup.WithContext(ctx)
	for _, mac := range run.Nodes {
		g.Go(func() error { return m.check(gctx, run, mac, &seen) })
	}
	if err := g.Wait(); err != nil || ctx.Err() != nil {
		return err
	}
	var skipped []string
	var nodes []rack.MAC
	bad := 0
	for _, mac := range run.Nodes {
		n, rec := m.node(mac)
		switch {
		case n == nil:
			skipped = append(skipped, mac.String()+": its row is no longer in nodes.csv")
		case rec.State == Failed:
			bad++
			nodes = append(nodes, mac)
		case seen.at[mac] != api.PowerOff && !run.Request.PowerCycleRunning && !m.run(run.ID).Stop:
			skipped = append(skipped, n.Where()+": it is on; --power-cycle-running takes it in")
			if err := m.release(ctx, mac); err != nil {
				return err
			}
		default:
			nodes = append(nodes, mac)
		}
	}
	stopped := bad > 0 || m.run(run.ID).Stop
	if stopped {
		if err := m.releaseAll(ctx, nodes); err != nil {
			return err
		}
	}
	return m.updateRun(ctx, run.ID, func(r *runRecord) {
		r.Nodes, r.Skipped = nodes, skipped
		r.Checked = !stopped
		if bad > 0 {
			r.Reason = "a BMC check failed; no server was powered off"
		}
	})
}

// check reads one BMC's power state. A refusal of the credentials is final; silence is waited out, since a BMC may only
// now be asking for its address.
func (m *Machine) check(ctx context.Context, run *runRecord, mac rack.MAC, seen *readings) error {
	n, rec, err := m.enter(ctx, run, mac)
	if n == nil || err != nil {
		return err
	}
	if rec.State != CheckingBMC || rec.Run != run.ID {
		err := m.transition(ctx, mac, CheckingBMC, func(r *Record) error {
			r.Run, r.Tries = run.ID, 1
			return nil
		})
		if err != nil {
			return err
		}
	}
	cctx, cancel := context.WithTimeout(ctx, m.cfg.Deadlines.CheckBMC)
	defer cancel()
	p, err := m.readPower(cctx, n)
	for err != nil && m.needs.BMCs.Silent(err) && !m.run(run.ID).Stop && pause(cctx, silentPause) {
		p, err = m.readPower(cctx, n)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil && m.run(run.ID).Stop:
		return nil // cancelled: nobody waits for this BMC any more
	case err != nil:
		m.fail(ctx, mac, err.Error(), m.unreached(err))
	default:
		seen.set(mac, p)
		m.note(mac, event.Event{Kind: event.BMCReading, Run: run.ID, Message: "BMC: power is " + string(p)})
	}
	return nil
}

// enter gives a node that a run is about to check. What an earlier run left under way, since the node's row was gone
// when that run ended, is ended first. n is nil when there is no row.
func (m *Machine) enter(ctx context.Context, run *runRecord, mac rack.MAC) (n *rack.Node, rec *Record, err error) {
	n, rec = m.node(mac)
	if n == nil {
		return nil, nil, m.abandon(ctx, run.ID, mac)
	}
	if rec.State.underway() && (rec.State != CheckingBMC || rec.Run != run.ID) {
		m.fail(ctx, mac, "run "+rec.Run+" ended without it", false)
		n, rec = m.node(mac)
	}
	return n, rec, nil
}

// abandon fails a node whose row went from nodes.csv while a run was at work on it: its order must not wait for the day
// when the row comes back.
func (m *Machine) abandon(ctx context.Context, run string, mac rack.MAC) error {
	m.mu.Lock()
	rec := m.nodes[mac]
	left := rec != nil && rec.Run == run && rec.State.underway()
	m.mu.Unlock()
	if !left {
		return nil
	}
	return m.transition(ctx, mac, Failed, func(r *Record) error {
		r.Reason = "its row went from nodes.csv during the run"
		r.disarm()
		return nil
	})
}

func (m *Machine) releaseAll(ctx context.Context, nodes []rack.MAC) error {
	for _, mac := range nodes {
		if err := m.release(ctx, mac); err != nil {
			return err
		}
	}
	return nil
}

// release puts a node that a run has not begun to install back to where it was. A node whose disk an earlier attempt
// left half written is failed again.
func (m *Machine) release(ctx context.Context, mac rack.MAC) error {
	n, rec := m.node(mac)
	if n == nil || rec.State == Failed || !rec.State.underway() {
		return nil
	}
	to := Known
	switch {
	case rec.Job != nil && rec.Job.Began:
		to = Failed
	case rec.State == CheckingBMC && rec.up():
		to = Ready
	}
	return m.transition(ctx, mac, to, func(r *Record) error {
		began := r.Job != nil && r.Job.Began
		if began != (to == Failed) {
			return errStale
		}
		if began {
			r.Reason = "left alone by the run; an earlier one left its disk half written"
		}
		r.disarm()
		return nil
	})
}

// silentPause is the time between two questions to a BMC that does not answer.
const silentPause = 2 * time.Second

// pause waits, and reports whether there is time for another attempt.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (m *Machine) unreached(err error) bool {
	return m.needs.BMCs.Silent(err) || m.needs.BMCs.Refused(err)
}

// readPower asks the BMC and remembers what it said.
func (m *Machine) readPower(ctx context.Context, n *rack.Node) (api.Power, error) {
	addr, ok := m.bmcAddr(n)
	if !ok {
		return api.PowerUnknown, fmt.Errorf("%s: its BMC has no address in the plan", n.Where())
	}
	p, err := m.needs.BMCs.Power(ctx, n, addr)
	m.reading(n.Primary, p, err)
	return p, err
}

// reading keeps what a BMC said last, or why it said nothing.
func (m *Machine) reading(mac rack.MAC, p api.Power, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.live[mac]; l != nil {
		l.power, l.reached, l.bmcError = p, err == nil, ""
		if err != nil {
			l.bmcError = sentence(err.Error())
		}
	}
	m.wake()
}

func (m *Machine) power(mac rack.MAC) api.Power {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.live[mac]; l != nil {
		return l.power
	}
	return api.PowerUnknown
}

// bmcAddr is where a node's BMC is reached: its own address, else the one that racker leases to its MAC.
func (m *Machine) bmcAddr(n *rack.Node) (netip.Addr, bool) {
	if n.BMCAddress.IsValid() {
		return n.BMCAddress, true
	}
	a, ok := m.Plan().ByMAC(n.BMC)
	return a.Addr, ok
}
