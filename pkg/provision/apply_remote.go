package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/rack"
)

const (
	// reachTime is how long a node that does not answer over SSH is tried again.
	reachTime = time.Minute
	// scriptTime bounds one script, in which services may be restarted.
	scriptTime = 10 * time.Minute
	// updateTime bounds the update of the OS: the payload has a few hundred megabytes, and is written to a partition.
	updateTime = 45 * time.Minute
	// lookTime bounds one question to a node that may be down.
	lookTime = 20 * time.Second
)

// onNode runs a script on a node. A node that does not answer is tried again for a while; the script may then run twice. A
// script that fails ends the apply with its last words.
func (m *Machine) onNode(ctx context.Context, n *rack.Node, what, script string, stdin []byte, limit time.Duration) (RemoteResult, error) {
	a, ok := m.Assigned(n.Primary)
	if !ok {
		return RemoteResult{}, &applyError{"it has no address in the plan", codeFailed}
	}
	patience := cmp.Or(m.cfg.Deadlines.Reach, reachTime)
	for began := time.Now(); ; {
		rctx, cancel := context.WithTimeout(ctx, limit)
		res, err := m.needs.Remote.Run(rctx, n, a.Addr, script, stdin)
		late := rctx.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return res, ctx.Err()
		case err == nil && res.Code != 0:
			return res, &applyError{fmt.Sprintf("%s failed: %s", what, lastWords(res)), codeFailed}
		case err == nil:
			return res, nil
		case late:
			return res, &applyError{fmt.Sprintf("%s did not end within %s", what, limit), codeFailed}
		case !m.needs.Remote.Unreached(err):
			return res, &applyError{what + ": " + err.Error(), codeFailed}
		case time.Since(began) > patience:
			return res, &applyError{what + ": " + err.Error(), codeUnreached}
		}
		if !pause(ctx, m.applyPause()) {
			return RemoteResult{}, ctx.Err()
		}
	}
}

// lastWords is what a script said last, which is why it failed.
func lastWords(res RemoteResult) string {
	const kept = 3
	var lines []string
	for line := range strings.Lines(string(res.Stdout) + "\n" + string(res.Stderr)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return fmt.Sprintf("exit code %d, without a word", res.Code)
	}
	return strings.Join(lines[max(0, len(lines)-kept):], "; ")
}

// changeNode writes what changed, and, unless a reboot follows, tells whoever reads it.
func (m *Machine) changeNode(ctx context.Context, r *runRecord, n *rack.Node, rec *Record) error {
	plan, err := m.planOf(ctx, r, rec)
	if err != nil {
		return err
	}
	if err := m.unstage(ctx, n, rec); err != nil {
		return err
	}
	actions := plan.actions(r.Apply)
	kernel, err := m.kernelScript(ctx, r, n, plan)
	if err != nil {
		return err
	}
	if _, err := m.onNode(ctx, n, "the change", runStdin, applyScript(actions), scriptTime); err != nil {
		return err
	}
	if kernel != nil {
		if _, err := m.onNode(ctx, n, "the change of kernel arguments", runStdin, kernel, scriptTime); err != nil {
			return err
		}
	}
	m.note(n.Primary, event.Event{Kind: event.RunChange, Run: r.ID, Message: fmt.Sprintf("%d actions over SSH", len(actions))})
	return nil
}

// changePlan is a comparison that an apply carries out.
type changePlan struct{ ignite.Comparison }

// actions leaves out what the reboot does.
func (p changePlan) actions(a *applying) []ignite.Action {
	var out []ignite.Action
	for _, act := range p.Actions {
		if a.Cost != api.CostReboot || !act.Restarts {
			out = append(out, act)
		}
	}
	return out
}

// planOf compares again, since only the digest is journalled. A config that costs more by now, since another apply failed
// in between, ends the run.
func (m *Machine) planOf(ctx context.Context, r *runRecord, rec *Record) (changePlan, error) {
	// The run's own attempt is no other state to start from: all its actions can be done again.
	other := rec.clone()
	other.Install.Attempts = nil
	for _, d := range rec.Install.Attempts {
		if d != r.Apply.Digest {
			other.Install.Attempts = append(other.Install.Attempts, d)
		}
	}
	c, err := m.compare(ctx, other, r.Apply.Digest)
	if err != nil {
		return changePlan{}, &applyError{err.Error(), codeFailed}
	}
	if ignite.Dearer(c.Cost, r.Apply.Cost) {
		return changePlan{}, &applyError{fmt.Sprintf("it costs %s by now, and %s was ordered", c.Cost, r.Apply.Cost), codeFailed}
	}
	return changePlan{c}, nil
}

// verifyNode reads back what was written.
func (m *Machine) verifyNode(ctx context.Context, r *runRecord, n *rack.Node, rec *Record) error {
	if r.Apply.Version != "" {
		return m.verifyOS(ctx, r, n)
	}
	plan, err := m.planOf(ctx, r, rec)
	if err != nil {
		return err
	}
	_, err = m.onNode(ctx, n, "reading back", runStdin, checkScript(plan.Actions), scriptTime)
	return err
}

// awaitHealth runs the health command until it succeeds, for as long as a boot may take. The config is on the node by now,
// whatever comes of it; that it did not prove itself is known until a later apply does.
func (m *Machine) awaitHealth(ctx context.Context, r *runRecord, n *rack.Node) error {
	if r.Apply.Health == "" {
		return nil
	}
	for began := time.Now(); ; {
		_, err := m.onNode(ctx, n, "the health command", runStdin, []byte(r.Apply.Health+"\n"), scriptTime)
		var failed *applyError
		switch {
		case err == nil:
			m.note(n.Primary, event.Event{Kind: event.RunChange, Run: r.ID, Message: "its health command succeeded"})
			return m.update(ctx, n.Primary, func(rec *Record) error {
				if rec.Install != nil {
					rec.Install.Unproved = false
				}
				return nil
			})
		case !errors.As(err, &failed), m.run(r.ID).Stop, time.Since(began) > m.cfg.Deadlines.Boot:
			return err
		}
		if !pause(ctx, m.applyPause()) {
			return ctx.Err()
		}
	}
}
