package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// Results of a node in an apply.
const (
	resultApplied   = "applied"
	resultInstalled = "installed"
	resultFailed    = "failed"
	resultNotBegun  = "not begun"
	resultLeft      = "left to the daemon"
)

// carryOut changes the nodes, some at a time, and then installs those that are new. The first failure ends it.
func (o *applyOptions) carryOut(ctx context.Context, d applier, p *applyPlan) error {
	changes, installs := p.with(applyChange), p.with(applyInstall)
	for _, n := range append(append([]*applyNode(nil), changes...), installs...) {
		n.Result = resultNotBegun
	}
	var err error
	for len(changes) > 0 && err == nil {
		n := min(o.MaxUnavailable, len(changes))
		err = o.batch(ctx, d, p, changes[:n])
		changes = changes[n:]
	}
	if err == nil && len(installs) > 0 {
		err = o.install(ctx, d, installs)
	}
	return o.finished(p, err)
}

// batch changes some nodes at the same time, and waits until all of them are well.
func (o *applyOptions) batch(ctx context.Context, d applier, p *applyPlan, nodes []*applyNode) error {
	if ctx.Err() != nil {
		return withCode(codeInterrupted, fmt.Errorf("interrupted: %w", context.Cause(ctx)))
	}
	for _, n := range nodes {
		if err := o.begin(ctx, p, n); err != nil {
			return err
		}
	}
	runs, err := o.orders(ctx, d, nodes)
	if len(runs) > 0 {
		err = errors.Join(err, o.follow(ctx, d, runs))
	}
	o.settle(ctx, d, nodes)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := o.wellAfterInstall(ctx, d, n); err != nil {
			return err
		}
		if err := o.hook(ctx, p, n, hookUndrain); err != nil {
			n.fail(err)
			return err
		}
	}
	return nil
}

// begin runs what comes before a node is changed.
func (o *applyOptions) begin(ctx context.Context, p *applyPlan, n *applyNode) error {
	if err := o.hook(ctx, p, n, hookDrain); err != nil {
		n.fail(err)
		return err
	}
	return nil
}

// orders sends each node's config, and orders that it is applied, for no more than what was shown. Nodes on which there is
// nothing to do have no run.
func (o *applyOptions) orders(ctx context.Context, d applier, nodes []*applyNode) ([]api.RunView, error) {
	var runs []api.RunView
	for _, n := range nodes {
		v, err := o.orderApply(ctx, d, n)
		if err != nil {
			n.fail(err)
			return runs, err
		}
		if v.State == runDone && !v.Changed {
			n.Result = resultApplied
			continue
		}
		n.Run = v.ID
		fmt.Fprintf(o.IO.Err, "%s: %s, run %s\n", stdio.Clean(n.where()), n.Cost, v.ID)
		runs = append(runs, v)
	}
	return runs, nil
}

func (o *applyOptions) orderApply(ctx context.Context, d applier, n *applyNode) (api.RunView, error) {
	if err := n.send(ctx, d); err != nil {
		return api.RunView{}, err
	}
	order := api.ApplyOrder{Digest: n.digest, Cost: n.Cost, Wipe: n.Wipes}
	if n.Cost != api.CostReinstall && (n.Cost != api.CostNothing || n.config.Unproved) {
		order.Health = n.declared.Spec.Health
	}
	if n.Cost == api.CostWipeRoot {
		order.Keep = o.Keep
	}
	if n.Cost == api.CostReinstall {
		order.Erase, order.Shown = o.erases(n)
	}
	return d.Apply(ctx, n.MAC, order)
}

// send gives the daemon what the plan was made of.
func (n *applyNode) send(ctx context.Context, d applier) error {
	v, err := d.PutConfig(ctx, n.MAC, n.declared.Config)
	if err == nil && v.WantedDigest != n.digest {
		err = fmt.Errorf("%s: the daemon got another config than the one that was shown", n.where())
	}
	return err
}

// follow shows runs to their end; the error is that of what went wrong in them.
func (o *applyOptions) follow(ctx context.Context, d runKeeper, runs []api.RunView) error {
	keeper, v := groupRuns(d, runs)
	v, err := newFollower(o.IO, keeper, o.Now, o.Take).follow(ctx, v)
	if err != nil {
		return err
	}
	return runError(&v)
}

// settle notes what became of each node's run.
func (o *applyOptions) settle(ctx context.Context, d runGetter, nodes []*applyNode) {
	for _, n := range nodes {
		if n.Run == "" || n.Result != resultNotBegun {
			continue
		}
		v, err := d.Run(context.WithoutCancel(ctx), n.Run)
		switch {
		case err != nil:
			n.fail(err)
		case v.State == runRunning:
			n.Result = resultLeft
		default:
			if err := runError(&v); err != nil {
				n.fail(err)
			} else {
				n.Result = resultApplied
			}
		}
	}
}

func (n *applyNode) fail(err error) {
	n.Result, n.Error = resultFailed, explained(err)
}

// wellAfterInstall waits for the health command of a node that was installed: the run of an install knows none.
func (o *applyOptions) wellAfterInstall(ctx context.Context, d applier, n *applyNode) error {
	health := n.declared.Spec.Health
	if health == "" || n.Action != applyInstall && n.Cost != api.CostReinstall {
		return nil
	}
	v, err := d.Apply(ctx, n.MAC, api.ApplyOrder{Digest: n.digest, Cost: api.CostNothing, Health: health})
	if err == nil {
		err = o.follow(ctx, d, []api.RunView{v})
	}
	if err != nil {
		n.fail(err)
	}
	return err
}

// install installs the nodes that are new, all at once: none of them holds anything that others wait for.
func (o *applyOptions) install(ctx context.Context, d applier, nodes []*applyNode) error {
	req := api.RunRequest{
		Provision: "flatcar", Configs: map[string]string{}, Retries: defaultRetries, OnFailure: api.OnFailureRetry,
		CommandLineForAudit: o.commandLine, Shown: map[string]string{},
	}
	if o.IO.CanPrompt() {
		req.OnFailure = api.OnFailureAsk
	}
	for _, n := range nodes {
		if err := n.send(ctx, d); err != nil {
			n.fail(err)
			return err
		}
		req.Nodes = append(req.Nodes, n.MAC)
		req.Configs[n.MAC] = n.digest
		var shown string
		if req.Erase, shown = o.erases(n); shown != "" {
			req.Shown[n.MAC] = shown
		}
		req.Image = n.declared.Config.Image
	}
	v, err := d.SubmitRun(ctx, req)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.IO.Err, "Run %s installs %d new nodes\n", v.ID, len(nodes))
	for _, n := range nodes {
		n.Run = v.ID
	}
	v, err = newFollower(o.IO, d, o.Now, o.Take).follow(ctx, v)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		n.installed(&v)
	}
	if err := runError(&v); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := o.wellAfterInstall(ctx, d, n); err != nil {
			return err
		}
	}
	return nil
}

// installed notes what became of one node of the run.
func (n *applyNode) installed(v *api.RunView) {
	n.Result = resultFailed
	for i := range v.Nodes {
		if at := &v.Nodes[i]; at.PrimaryMAC == n.MAC && at.State == stateReady {
			n.Result = resultInstalled
		}
	}
}

// finished prints what became of all nodes, and gives the error that it deserves.
func (o *applyOptions) finished(p *applyPlan, err error) error {
	done, bad := 0, 0
	for _, n := range p.nodes {
		switch n.Result {
		case resultApplied, resultInstalled:
			done++
		case "":
		default:
			bad++
		}
	}
	if perr := o.printResults(p); perr != nil {
		return perr
	}
	switch {
	case err == nil && bad == 0 && o.Detailed:
		return withCode(codeChanges, errSilent)
	case err == nil && bad == 0:
		return nil
	case err == nil:
		err = fmt.Errorf("%d nodes are not as declared", bad)
	}
	if done > 0 && givenCode(err) != codeInterrupted {
		err = withCode(codeSomeNodes, err)
	}
	return withHint(err, "racker apply goes on where this ended")
}

func (o *applyOptions) printResults(p *applyPlan) error {
	if o.JSON {
		return o.IO.JSON(p.view())
	}
	for _, n := range p.nodes {
		if n.Result == "" {
			continue
		}
		text := n.Result
		if n.Cost != "" {
			text += " (" + n.Cost + ")"
		}
		if err := o.IO.Outf("%s: %s\n", stdio.Clean(n.where()), text); err != nil {
			return err
		}
	}
	return nil
}
