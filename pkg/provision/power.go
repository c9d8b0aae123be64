package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

var (
	errNoBMCAddress = errors.New("its BMC has no address in the plan")
	errHalfWritten  = errors.New("its disk is half written, and must not be booted")
)

// agentPatience is how long after its last word an agent that was held is taken to be there.
const agentPatience = 2*longPoll + 10*time.Second

// Words of facts that are looked for again.
const (
	saidBMC     = "BMC: "
	saidPowerOn = "power is on"
	saidOn      = saidBMC + saidPowerOn
)

// start lets a checked node begin when it is its turn, unless that is too late.
func (m *Machine) start(ctx context.Context, r *runRecord, n *rack.Node, rec *Record) error {
	if r.Request.Provision != provisionDisk && rec.waits() && time.Since(m.known(n.Primary).heard) < agentPatience {
		return m.arm(ctx, r, n.Primary, Agent)
	}
	m.queue(n.Primary, true)
	e := m.entry(n.Primary)
	for {
		node := e.changed.next()
		r, changed := m.runAt(r.ID)
		if r.Stop || e.rec.Load().State != CheckingBMC { // it called back, late
			return nil
		}
		if at := r.Request.NotAfter; !at.IsZero() && time.Now().After(at) {
			return m.tooLate(ctx, r, n)
		}
		wait := m.pace.turn(time.Now())
		if wait == 0 {
			return m.arm(ctx, r, n.Primary, Powering)
		}
		turn := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-turn.C:
		case <-changed:
		case <-node:
		}
		turn.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// agentWaits reports whether an agent that was held is there to take the next job. For a while after the daemon was
// started that is taken for granted: it has not had the time to say so.
func (m *Machine) agentWaits(rec *Record) bool {
	heard := m.known(rec.MAC).heard
	if heard.IsZero() {
		heard = m.began
	}
	return rec.waits() && time.Since(heard) < agentPatience
}

// waits reports whether an agent that was held in the microkernel can take the next job.
func (r *Record) waits() bool { return r.Session != nil && r.Job != nil && r.Job.Hold }

// queue notes whether a node stands in a queue, where no deadline runs.
func (m *Machine) queue(mac rack.MAC, in bool) {
	m.alive(mac, func(l *live) {
		if l.queued && !in {
			l.moved, l.spent = time.Now(), 0
		}
		l.queued = in
	})
}

// tooLate lets go of a node that would start after the time that the operator named.
func (m *Machine) tooLate(ctx context.Context, r *runRecord, n *rack.Node) error {
	text := n.Where() + ": not started, since it is after " + r.Request.NotAfter.Format(time.RFC3339)
	err := m.updateRun(ctx, r.ID, func(r *runRecord) {
		for _, s := range r.Skipped {
			if s == text {
				return
			}
		}
		r.Skipped = append(r.Skipped, text)
	})
	if err != nil {
		return err
	}
	return m.release(ctx, n.Primary)
}

// arm gives the node its job and lets it go on: to be powered, or to the agent that waits on it.
func (m *Machine) arm(ctx context.Context, run *runRecord, mac rack.MAC, to State) error {
	return m.transition(ctx, mac, to, func(r *Record) error {
		began := r.Job != nil && r.Job.Began
		if to == Powering {
			r.Session = nil
		}
		r.Job = run.job(mac)
		switch {
		case r.Job != nil:
			r.Job.Began = began
		case began:
			return errHalfWritten
		}
		return nil
	})
}

// job makes the run's order for one node; nil when it is to boot its disk.
func (r *runRecord) job(mac rack.MAC) *Job {
	switch r.Request.Provision {
	case provisionDisk:
		return nil
	case provisionInventory:
		return &Job{ID: "job-" + secret()[:10], Kind: api.JobInventory, Steps: []api.StepKind{api.StepVerify, api.StepReboot}}
	}
	return &Job{
		ID: "job-" + secret()[:10], Kind: api.JobInstall, Image: r.imageOf(mac), Steps: jobSteps(r.plain(mac)), Plain: r.plain(mac),
		SSHKeys: r.Request.SSHKeys, Callback: secret(), Spec: r.specOf(mac), Config: r.Configs[mac],
		Hold: r.Request.StopAt == api.StopAtAgent,
	}
}

// powerUp brings the node to its boot: verified off, boot device set and read back, on. Each order is idempotent, so
// that a daemon that died in between does it again. A node that is on its way already, by the token of its job, or by what
// this daemon ordered for this attempt before, is not ordered again.
func (m *Machine) powerUp(ctx context.Context, n *rack.Node, rec *Record) error {
	attempt := fmt.Sprintf("%s %d %s", rec.Run, rec.Tries, rec.jobID())
	if booted := rec.Job != nil && rec.Job.Token != (Token{}); booted || m.known(n.Primary).orders == attempt {
		return m.poweredUp(ctx, n, rec)
	}
	addr, ok := m.bmcAddr(n)
	if !ok {
		return m.failIn(ctx, n.Primary, Powering, func(r *Record) { r.Reason = errNoBMCAddress.Error() })
	}
	octx, stop := m.whilePowering(ctx, rec)
	defer stop()
	if err := m.softly(octx, n, addr, rec); err != nil || octx.Err() != nil {
		return m.notPowered(octx, n, err)
	}
	pctx, cancel := context.WithTimeout(octx, m.cfg.Deadlines.Power)
	defer cancel()
	network, device := rec.Job != nil, "the disk"
	if network {
		device = "the network"
	}
	orders := []struct {
		said string
		do   func() error
	}{
		{"power is off", func() error { return m.needs.BMCs.SetPower(pctx, n, addr, false) }},
		{"boot device is " + device, func() error { return m.needs.BMCs.SetBoot(pctx, n, addr, network, rec.uefi()) }},
		{saidPowerOn, func() error {
			m.alive(n.Primary, func(l *live) { l.powered = time.Now() }) // before: the server may be faster than the answer
			return m.needs.BMCs.SetPower(pctx, n, addr, true)
		}},
	}
	for _, o := range orders {
		if err := o.do(); err != nil || octx.Err() != nil {
			return m.notPowered(octx, n, err)
		}
		m.note(n.Primary, event.Event{Kind: event.BMCReading, Run: rec.Run, Message: saidBMC + o.said})
	}
	m.reading(n.Primary, api.PowerOn, nil)
	m.alive(n.Primary, func(l *live) { l.orders = attempt })
	return m.poweredUp(ctx, n, rec)
}

// jobID is empty for a node without a job.
func (r *Record) jobID() string {
	if r.Job == nil {
		return ""
	}
	return r.Job.ID
}

// poweredUp takes a node that was switched on further.
func (m *Machine) poweredUp(ctx context.Context, n *rack.Node, rec *Record) error {
	to, also := rec.rest(), served
	switch {
	case rec.Job != nil:
		to, also = Netbooting, nil
	case rec.Install != nil:
		to, also = Installed, nil
	}
	return m.transition(ctx, n.Primary, to, func(r *Record) error {
		if m.record(n.Primary).State != Powering {
			return errStale // it was faster: its system is up already
		}
		if also != nil {
			return also(r)
		}
		return nil
	})
}

// whilePowering gives a context that ends when the node goes on by itself: its agent may check in while a BMC is slow, and
// from then on no order may reach it. stop ends the watch and waits for it.
func (m *Machine) whilePowering(ctx context.Context, rec *Record) (octx context.Context, stop func()) {
	octx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	e := m.entry(rec.MAC)
	watch.Go(func() {
		for {
			changed := e.changed.next()
			if now := e.rec.Load(); now.State != Powering || now.jobID() != rec.jobID() || now.Session != nil {
				cancel()
				return
			}
			select {
			case <-octx.Done():
				return
			case <-changed:
			}
		}
	})
	return octx, func() {
		cancel()
		watch.Wait()
	}
}

// notPowered fails a node whose BMC did not do as told. The server may have checked in by now: then it is on, whatever
// its BMC says. Nothing happens when the daemon stops.
func (m *Machine) notPowered(ctx context.Context, n *rack.Node, err error) error {
	if ctx.Err() != nil || err == nil {
		return nil
	}
	return m.failIn(ctx, n.Primary, Powering, func(r *Record) {
		r.Reason, r.Unreached, r.Refused = err.Error(), m.unreached(err), m.needs.BMCs.Refused(err)
	})
}

// softly shuts a system down that is up, before its power is cut. A system that does not obey is no error: its power
// will be cut. The error is a BMC's that cannot be asked.
func (m *Machine) softly(ctx context.Context, n *rack.Node, addr netip.Addr, rec *Record) error {
	if !rec.up() || m.known(n.Primary).powered.After(rec.Since) {
		return nil // there is none, or it was shut down before
	}
	p, err := m.needs.BMCs.Power(ctx, n, addr)
	if err != nil || p != api.PowerOn {
		return err
	}
	text := "its system shut down"
	if err := m.needs.BMCs.SoftOff(ctx, n, addr); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		text = "its system did not shut down: " + err.Error()
	}
	m.note(n.Primary, event.Event{Kind: event.BMCReading, Run: rec.Run, Message: "BMC: " + text})
	return nil
}
