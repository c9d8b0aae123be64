package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/rack"
)

// ErrWipe is matched when an apply would erase what the order does not allow to erase, or cost more than it allows.
var ErrWipe = errors.New("the order does not allow it")

// applying is what a run knows that applies a config to one node. The token is why it is never shown.
type applying struct {
	Digest string `json:"digest"`
	Cost   string `json:"cost"`
	Step   string `json:"step"` // what is to be done next
	// BootID is that of the boot which the run ends.
	BootID string `json:"boot_id,omitempty"`
	// Token is the secret of the callback that the system with the new root makes.
	Token string `json:"token,omitempty"`
	// Keep are the paths that survive the erasure of ROOT.
	Keep []string `json:"keep,omitempty"`
	// Health is the command that must succeed in the end.
	Health string `json:"health,omitempty"`
	// Version is the OS version that the node is updated to; empty for a config.
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason,omitempty"` // why it failed
	Code    int    `json:"code,omitempty"`   // exit code of the failure
}

// Steps of an apply, in their order; which of them there are depends on the cost.
const (
	applyBegin  = "begin"  // the node is taken, and the attempt noted
	applyChange = "change" // files are written, and services told, over SSH
	applyUpdate = "update" // the OS update is put beside the running system
	applyStage  = "stage"  // the new Ignition config is put in place, and the first boot ordered
	applyReboot = "reboot"
	applyReturn = "return" // the node is waited for
	applyVerify = "verify" // what was written is read back
	applyNote   = "note"   // the config is known as applied
	applyHealth = "health" // the health command succeeds
	applyDone   = "done"
)

// Apply brings a node that is ready to a config that was sent before, by the cheapest means that are sufficient. A change
// that costs more than the order allows, or erases what it does not name, is refused with an error that matches ErrWipe.
// Others match ErrRequest, ErrBusy or ErrNoNode.
func (m *Machine) Apply(ctx context.Context, word string, o api.ApplyOrder) (api.RunView, error) {
	n, err := m.server(word)
	if err != nil {
		return api.RunView{}, err
	}
	if !slices.Contains([]string{api.CostNothing, api.CostLive, api.CostReboot, api.CostWipeRoot, api.CostReinstall}, o.Cost) {
		return api.RunView{}, fmt.Errorf("cost %q: want nothing, live, reboot, wipe-root or reinstall: %w", o.Cost, ErrRequest)
	}
	rec := m.record(n.Primary)
	if err := m.appliesTo(n, rec); err != nil {
		return api.RunView{}, err
	}
	cmp, err := m.compare(ctx, rec, o.Digest)
	if err != nil {
		return api.RunView{}, fmt.Errorf("%s: %w", n.Where(), err)
	}
	if err := allowed(n, cmp, o); err != nil {
		return api.RunView{}, err
	}
	switch {
	case cmp.Cost == api.CostReinstall:
		return m.reinstall(ctx, n, rec, o)
	case cmp.Cost == api.CostNothing && o.Health == "" && rec.Install.Renew == nil: // else a first boot has to be taken back
		return m.applyNothing(ctx, n, o.Digest)
	}
	return m.admitApply(ctx, n, &applying{Digest: o.Digest, Cost: cmp.Cost, Step: applyBegin, Keep: o.Keep, Health: o.Health})
}

// appliesTo gives an error when a node is not one whose system racker can change.
func (m *Machine) appliesTo(n *rack.Node, rec *Record) error {
	switch {
	case rec == nil || rec.State != Ready:
		return fmt.Errorf("%s is %s, not ready: %w", n.Where(), m.shown(n).State, ErrRequest)
	case rec.Adopted || rec.Install == nil || !rec.Install.Complete:
		return fmt.Errorf("%s was not installed by racker: %w", n.Where(), ErrRequest)
	case rec.Install.Plain:
		return fmt.Errorf("the image of %s takes no config: %w", n.Where(), ErrRequest)
	}
	return nil
}

// compare finds what takes a node from what is on it to a config that was sent. An apply that did not end may have left
// anything between two configs, so that both are compared.
func (m *Machine) compare(ctx context.Context, rec *Record, digest string) (ignite.Comparison, error) {
	to, err := m.declared(ctx, rec.MAC, digest)
	if err == nil && to == nil {
		err = errNoConfig
	}
	if err != nil {
		return ignite.Comparison{}, fmt.Errorf("%w: %w", err, ErrRequest)
	}
	var out ignite.Comparison
	for i, from := range append([]string{rec.Install.Config}, rec.Install.Attempts...) {
		old, err := m.declared(ctx, rec.MAC, from)
		if err != nil {
			return out, err
		}
		next, err := ignite.Compare(old, to)
		if err != nil {
			return out, fmt.Errorf("%w: %w", err, ErrRequest)
		}
		if i == 0 {
			out = next
		} else {
			out = out.And(next)
		}
	}
	return out, nil
}

// allowed refuses what the order does not cover, and says why it costs so much.
func allowed(n *rack.Node, c ignite.Comparison, o api.ApplyOrder) error {
	wipes := c.Cost == api.CostWipeRoot || c.Cost == api.CostReinstall
	switch {
	case ignite.Dearer(c.Cost, o.Cost):
		return fmt.Errorf("%s: the change costs %s (%s), and %s was ordered: %w", n.Where(), c.Cost, dearest(c), o.Cost, ErrWipe)
	case wipes && !o.Wipe:
		return fmt.Errorf("%s: the change costs %s (%s), which erases data: %w", n.Where(), c.Cost, dearest(c), ErrWipe)
	case len(o.Keep) > 0 && c.Cost != api.CostWipeRoot:
		return fmt.Errorf("%s: nothing is kept by a change that costs %s: %w", n.Where(), c.Cost, ErrRequest)
	}
	return keepable(o.Keep)
}

// dearest names what makes the change cost what it does.
func dearest(c ignite.Comparison) string {
	const named = 3
	var what []string
	for _, ch := range c.Changes {
		if ch.Cost == c.Cost && len(what) < named {
			what = append(what, ch.What)
		}
	}
	return strings.Join(what, ", ")
}

// keepable checks paths that are to survive: they are regular expressions, and words of a command.
func keepable(paths []string) error {
	for _, p := range paths {
		if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "'\n\x00") {
			return fmt.Errorf("path to keep %q: want one that begins with / and has no quotes: %w", p, ErrRequest)
		}
	}
	return nil
}

// applyNothing notes a config as applied that changes nothing on the node.
func (m *Machine) applyNothing(ctx context.Context, n *rack.Node, digest string) (api.RunView, error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	if err := m.free([]rack.MAC{n.Primary}); err != nil {
		return api.RunView{}, err
	}
	if rec := m.record(n.Primary); rec.Install.Config != digest || len(rec.Install.Attempts) > 0 || rec.Install.Unproved {
		if err := m.appliedClean(ctx, n.Primary, digest, false); err != nil {
			return api.RunView{}, err
		}
	}
	r := m.applyRun(n, &applying{Digest: digest, Cost: api.CostNothing})
	return m.unchanged(r), nil
}

// reinstall has the node installed afresh with the config. Its disk may be another than before.
func (m *Machine) reinstall(ctx context.Context, n *rack.Node, rec *Record, o api.ApplyOrder) (api.RunView, error) {
	mac := n.Primary.String()
	return m.order(ctx, n, api.RunRequest{
		Provision: provisionFlatcar, Image: rec.Install.Image, OnFailure: api.OnFailureCancel, Erase: o.Erase, Shown: shownOf(mac, o.Shown),
		Configs: map[string]string{mac: o.Digest},
	})
}

// applyRun makes the run of an apply.
func (m *Machine) applyRun(n *rack.Node, a *applying) *runRecord {
	r := &runRecord{
		ID: newRunID(), State: runRunning, Began: time.Now().UTC(), Nodes: []rack.MAC{n.Primary}, Checked: true, Apply: a,
		Request: api.RunRequest{Provision: provisionApply, Nodes: []string{n.Primary.String()}, OnFailure: api.OnFailureCancel},
	}
	if rec := m.record(n.Primary); rec != nil && rec.Install != nil {
		r.Image = rec.Install.Image
		r.Request.Image = r.Image
	}
	if a.Digest != "" {
		r.Configs = map[rack.MAC]string{n.Primary: a.Digest}
		r.Request.Configs = map[string]string{n.Primary.String(): a.Digest}
	}
	if a.Version != "" {
		r.Request.Provision = provisionUpgrade
	}
	return r
}

// admitApply stores the run of an apply and has it driven, unless the node has another order.
func (m *Machine) admitApply(ctx context.Context, n *rack.Node, a *applying) (api.RunView, error) {
	if m.needs.Remote == nil {
		return api.RunView{}, fmt.Errorf("this daemon has no way to reach installed nodes: %w", ErrRequest)
	}
	m.submits.Lock()
	defer m.submits.Unlock()
	if err := m.free([]rack.MAC{n.Primary}); err != nil {
		return api.RunView{}, err
	}
	if err := m.appliesTo(n, m.record(n.Primary)); err != nil { // it may have changed since it was compared
		return api.RunView{}, err
	}
	r := m.applyRun(n, a)
	if err := m.admit(ctx, r); err != nil {
		return api.RunView{}, err
	}
	return m.RunView(r.ID)
}

// appliedClean notes a config as the one that is on the node, whole; unproved when a health command is to follow.
func (m *Machine) appliedClean(ctx context.Context, mac rack.MAC, digest string, unproved bool) error {
	if err := m.applied(ctx, mac, digest); err != nil {
		return err
	}
	return m.update(ctx, mac, func(r *Record) error {
		if r.Install != nil {
			r.Install.Attempts, r.Install.Unproved = nil, unproved
		}
		return nil
	})
}
