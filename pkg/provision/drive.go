package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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

// checkAll asks every BMC before the first one is ordered anything. When one fails, the run ends with nothing touched.
func (m *Machine) checkAll(ctx context.Context, run *runRecord) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, mac := range run.Nodes {
		g.Go(func() error { return m.check(gctx, run, mac) })
	}
	if err := g.Wait(); err != nil || ctx.Err() != nil {
		return err
	}
	var skipped []string
	var nodes []rack.MAC
	bad := 0
	for _, mac := range run.Nodes {
		n, rec := m.node(mac)
		on := m.power(mac) == api.PowerOn
		switch {
		case rec.State == Failed:
			bad++
			nodes = append(nodes, mac)
		case on && !run.Request.PowerCycleRunning:
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
		for _, mac := range nodes {
			if err := m.release(ctx, mac); err != nil {
				return err
			}
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
func (m *Machine) check(ctx context.Context, run *runRecord, mac rack.MAC) error {
	n, rec := m.node(mac)
	if n == nil {
		return nil
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
	for err != nil && m.needs.BMCs.Silent(err) && pause(cctx, silentPause) {
		p, err = m.readPower(cctx, n)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		m.fail(ctx, mac, err.Error(), m.unreached(err))
	default:
		m.note(mac, event.Event{Kind: event.BMCReading, Run: run.ID, Message: "BMC: power is " + string(p)})
	}
	return nil
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
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.live[n.Primary]; l != nil {
		l.power, l.reached = p, err == nil
	}
	m.wake()
	return p, err
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

// release puts a node that a run has not begun to install back to where it was.
func (m *Machine) release(ctx context.Context, mac rack.MAC) error {
	_, rec := m.node(mac)
	if rec.State == Failed || !rec.State.underway() {
		return nil
	}
	to := Known
	if rec.State == CheckingBMC && rec.Install != nil && rec.Install.Complete {
		to = Ready
	}
	return m.transition(ctx, mac, to, func(r *Record) error {
		if r.Job != nil && r.Job.Began {
			return errStale
		}
		r.Job = nil
		return nil
	})
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
	if n == nil || rec.Run != id {
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
	}
	return false, m.wait(ctx, n, rec, changed)
}

// mayLeave reports whether a run that stops can let go of the node: its disk is as it was.
func (r *Record) mayLeave() bool {
	switch r.State {
	case CheckingBMC, Powering, Netbooting, Agent, Installing:
		return r.Job == nil || !r.Job.Began
	}
	return false
}

// again starts a failed node's next attempt, if the run allows one.
func (m *Machine) again(ctx context.Context, run *runRecord, mac rack.MAC, rec *Record) bool {
	if run.Stop || run.Request.OnFailure != "retry" || rec.Tries > run.Request.Retries {
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
		r.Stop, r.Reason = true, n.Where()+" failed"
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
		m.fail(ctx, n.Primary, "its BMC has no address in the plan", false)
		return nil
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
			m.fail(ctx, n.Primary, err.Error(), m.unreached(err))
			return nil
		}
		m.note(n.Primary, event.Event{Kind: event.BMCReading, Run: rec.Run, Message: "BMC: " + o.said})
	}
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
		m.fail(ctx, n.Primary, fmt.Sprintf("nothing new for %s in state %s; last seen: %s", limit, rec.State, m.lastSeen(n.Primary)), false)
	}
	return nil
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
	ready, bad, unreached := 0, 0, 0
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
	if ready == len(run.Nodes) && ready > 0 && len(run.Skipped) == 0 {
		return runDone, 0
	}
	state = runFailed
	if run.Stop && bad == 0 {
		state = runCancelled
	}
	switch {
	case bad > 0 && bad == unreached && ready == 0:
		return state, 6
	case ready > 0 || bad == 0 && len(run.Skipped) > 0:
		return state, 3
	}
	return state, 1
}
