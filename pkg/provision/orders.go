package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// ErrNotRunning is matched by an adoption of a node that is off, or whose BMC does not say that it is on.
var ErrNotRunning = errors.New("it is not known to be running")

// exit codes of an api.OrderView.
const (
	codeDone     = 0
	codeSomeLeft = 3
)

// Reprovision installs one node afresh, also when it is already as it would be.
func (m *Machine) Reprovision(ctx context.Context, word string, o api.Reprovision) (api.RunView, error) {
	n, err := m.server(word)
	if err != nil {
		return api.RunView{}, err
	}
	rec := m.record(n.Primary)
	if o.Image == "" && rec != nil && rec.Install != nil {
		o.Image = rec.Install.Image
	}
	if o.Image == "" {
		return api.RunView{}, fmt.Errorf("%s has no image yet: name one: %w", n.Where(), ErrRequest)
	}
	configs, err := m.configAgain(ctx, n.Primary)
	if err != nil {
		return api.RunView{}, err
	}
	what := provisionImage
	if configs != nil && len(o.SSHKeys) == 0 {
		what = provisionFlatcar
	}
	return m.order(ctx, n, api.RunRequest{
		Provision: what, Image: o.Image, OnFailure: o.OnFailure, Retries: o.Retries, SSHKeys: o.SSHKeys, Configs: configs,
		Erase: o.Erase, WipeOldOS: o.WipeOldOS, WipeForeign: o.WipeForeign, Shown: shownOf(n.Primary.String(), o.Shown),
	})
}

// shownOf is the RunRequest.Shown of an order for one node.
func shownOf(mac, digest string) map[string]string {
	if digest == "" {
		return nil
	}
	return map[string]string{mac: digest}
}

// Boot boots one node into its system, or once into the microkernel.
func (m *Machine) Boot(ctx context.Context, word string, o api.BootOrder) (api.RunView, error) {
	n, err := m.server(word)
	if err != nil {
		return api.RunView{}, err
	}
	if o.Target != api.BootDisk && o.Target != api.BootInventory {
		return api.RunView{}, fmt.Errorf("boot target %q: want disk or inventory: %w", o.Target, ErrRequest)
	}
	return m.order(ctx, n, api.RunRequest{Provision: o.Target, OnFailure: api.OnFailureCancel})
}

// order submits a run for one node, which is named and may be on.
func (m *Machine) order(ctx context.Context, n *rack.Node, req api.RunRequest) (api.RunView, error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	req.Nodes, req.PowerCycleRunning = []string{n.Primary.String()}, true
	r, err := m.planned(ctx, req)
	if err != nil {
		return api.RunView{}, err
	}
	if err := m.free(r.Nodes); err != nil {
		return api.RunView{}, err
	}
	if err := m.admit(ctx, r); err != nil {
		return api.RunView{}, err
	}
	return m.RunView(r.ID)
}

// idle finds a server that no run is at work on; the caller holds the lock of submits.
func (m *Machine) idle(word string) (*rack.Node, *Record, error) {
	n, err := m.server(word)
	if err != nil {
		return nil, nil, err
	}
	if err := m.free([]rack.MAC{n.Primary}); err != nil {
		return nil, nil, err
	}
	return n, m.record(n.Primary), nil
}

// reserve takes a server that no run is at work on for one order, until release is called.
func (m *Machine) reserve(word, order string) (n *rack.Node, rec *Record, release func(), err error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	n, rec, err = m.idle(word)
	if err != nil {
		return nil, nil, nil, err
	}
	mac := n.Primary
	m.ordered[mac] = order
	return n, rec, func() {
		m.submits.Lock()
		defer m.submits.Unlock()
		delete(m.ordered, mac)
	}, nil
}

// done is the answer to an order that is done.
func (m *Machine) done(n *rack.Node, changed bool, text string) api.OrderView {
	return api.OrderView{Node: m.view(n), Changed: changed, Message: n.Where() + ": " + text, Code: codeDone}
}

// Power switches a node. A system that is up is shut down first, unless the order is a hard one.
func (m *Machine) Power(ctx context.Context, word string, o api.PowerOrder) (api.OrderView, error) {
	if o.Power != api.PowerOn && o.Power != api.PowerOff {
		return api.OrderView{}, fmt.Errorf("power %q: want on or off: %w", o.Power, ErrRequest)
	}
	n, rec, release, err := m.reserve(word, "power")
	if err != nil {
		return api.OrderView{}, err
	}
	defer release()
	if rec.State == Excluded && o.Power == api.PowerOn {
		return api.OrderView{}, fmt.Errorf("%s is excluded; include it first: %w", n.Where(), ErrRequest)
	}
	now, err := m.readPower(ctx, n)
	if err != nil {
		return api.OrderView{}, err
	}
	if now == o.Power {
		return m.done(n, false, "power is "+string(now)+" already"), nil
	}
	addr, _ := m.bmcAddr(n) // it was read through it
	if o.Power == api.PowerOff && !o.Hard {
		if err := m.softly(ctx, n, addr, rec); err != nil {
			return api.OrderView{}, err
		}
	}
	if err := m.needs.BMCs.SetPower(ctx, n, addr, o.Power == api.PowerOn); err != nil {
		return api.OrderView{}, err
	}
	m.reading(n.Primary, o.Power, nil)
	m.note(n.Primary, event.Event{Kind: event.BMCReading, Message: "BMC: power is " + string(o.Power) + ", by an order"})
	return m.done(n, true, "power is "+string(o.Power)+", verified"), nil
}

// Exclude powers a node off and takes it out of all runs. A run that asks about it has its answer with that.
func (m *Machine) Exclude(ctx context.Context, word string) (api.OrderView, error) {
	n, err := m.server(word)
	if err != nil {
		return api.OrderView{}, err
	}
	if v, ok, err := m.excludeInRun(ctx, n); ok || err != nil {
		return v, err
	}
	n, rec, release, err := m.reserve(word, "exclude")
	if err != nil {
		return api.OrderView{}, err
	}
	defer release()
	changed := rec.State != Excluded
	if changed {
		err = m.exclude(ctx, n.Primary, "excluded by the operator", nil)
	} else {
		err = m.update(ctx, n.Primary, func(r *Record) error { // once more: it may be on by now
			r.Fence = fenceDue
			return nil
		})
	}
	if err != nil {
		return api.OrderView{}, err
	}
	if err := m.fence(ctx, n, m.record(n.Primary)); err != nil {
		return api.OrderView{}, err
	}
	return m.excluded(n, changed), nil
}

// excludeInRun answers the question of a run about the node, and waits until the run has fenced it.
func (m *Machine) excludeInRun(ctx context.Context, n *rack.Node) (v api.OrderView, ok bool, err error) {
	for _, r := range m.open() {
		for _, q := range m.questions(r) {
			if q.Node != n.Primary.String() {
				continue
			}
			if _, err := m.Answer(ctx, r.ID, api.Answer{Node: q.Node, Answer: api.OnFailureExclude}); err != nil {
				return v, false, err
			}
			fenced, err := m.untilFenced(ctx, r.ID, n.Primary)
			if err != nil || !fenced {
				return v, false, err
			}
			return m.excluded(n, true), true, nil
		}
	}
	return v, false, nil
}

// untilFenced waits until a run has excluded a node, and tells whether it did: the run may be cancelled, or the node call
// back, before that.
func (m *Machine) untilFenced(ctx context.Context, run string, mac rack.MAC) (bool, error) {
	for {
		changed := m.entry(mac).changed.next()
		r, runChanged := m.runAt(run)
		rec := m.record(mac)
		switch {
		case rec.State == Excluded && rec.Fence != fenceDue:
			return true, nil
		case rec.State != Excluded && (rec.State != Failed || r == nil || r.Stop || r.State != runRunning):
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-changed:
		case <-runChanged:
		}
	}
}

func (m *Machine) excluded(n *rack.Node, changed bool) api.OrderView {
	v := m.done(n, changed, "excluded; power is off, verified")
	if why := m.record(n.Primary).Fence; why != "" {
		v.NotFenced, v.Code = why, codeSomeLeft
		v.Message = n.Where() + ": excluded, but not fenced: " + why
	}
	return v
}

// Include takes an excluded node back, as it is.
func (m *Machine) Include(ctx context.Context, word string) (api.OrderView, error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	n, rec, err := m.idle(word)
	if err != nil {
		return api.OrderView{}, err
	}
	if rec.State != Excluded {
		return m.done(n, false, "it was not excluded"), nil
	}
	if rec.Fence == fenceDue {
		return api.OrderView{}, fmt.Errorf("%w: %s is just being powered off", ErrBusy, n.Where())
	}
	to := rec.rest()
	err = m.transition(ctx, n.Primary, to, func(r *Record) error {
		r.Fence, r.Run = "", ""
		return nil
	})
	if err != nil {
		return api.OrderView{}, err
	}
	return m.done(n, true, "included again; it is "+string(to)+" and its power was left as it is"), nil
}

// Adopt takes a running node in as ready. Its BMC is asked, and nothing is ordered.
func (m *Machine) Adopt(ctx context.Context, word string) (api.OrderView, error) {
	n, rec, release, err := m.reserve(word, "adopt")
	if err != nil {
		return api.OrderView{}, err
	}
	defer release()
	switch {
	case rec.State == Ready:
		return m.done(n, false, "it is ready already"), nil
	case rec.State != Known && rec.State != Failed, rec.Job != nil:
		return api.OrderView{}, fmt.Errorf("%s is %s: %w", n.Where(), rec.State, ErrRequest)
	}
	p, err := m.readPower(ctx, n)
	if err != nil {
		return api.OrderView{}, err
	}
	if p != api.PowerOn {
		return api.OrderView{}, fmt.Errorf("%s is off: %w", n.Where(), ErrNotRunning)
	}
	err = m.transition(ctx, n.Primary, Ready, func(r *Record) error {
		r.Adopted, r.Run = true, ""
		return nil
	})
	if err != nil {
		return api.OrderView{}, err
	}
	return m.done(n, true, "taken in as ready; nothing was touched"), nil
}
