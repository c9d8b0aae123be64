package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// applyError ends an apply: it says why, and with which exit code. Every other error is the store's, and holds the run up.
type applyError struct {
	reason string
	code   int
}

// Error implements error.
func (e *applyError) Error() string { return e.reason }

// Exit codes of an apply that failed.
const (
	codeFailed    = 1
	codeUnreached = 6
)

// driveApply carries an apply from its next step to its end. Each step can be done again: what is journalled is the step that
// is not done yet.
func (m *Machine) driveApply(ctx context.Context, id string) error {
	for ctx.Err() == nil {
		r := m.run(id)
		if r.Apply.Step == applyDone || r.Apply.Reason != "" {
			return nil
		}
		n, rec := m.node(r.Nodes[0])
		if n == nil {
			return errors.Join(m.abandon(ctx, id, r.Nodes[0]), m.endApply(ctx, r, &applyError{"its row went from nodes.csv during the run", codeFailed}))
		}
		next, err := m.applyStep(ctx, r, n, rec)
		var failed *applyError
		switch {
		case errors.As(err, &failed):
			err = m.endApply(ctx, r, failed)
		case err == nil && ctx.Err() == nil:
			err = m.updateRun(ctx, id, func(r *runRecord) { r.Apply.Step = next })
		}
		if err != nil && !errors.Is(err, errStale) {
			return err
		}
	}
	return nil
}

// applyStep does the run's next step, and gives the one after it.
func (m *Machine) applyStep(ctx context.Context, r *runRecord, n *rack.Node, rec *Record) (next string, err error) {
	a := r.Apply
	if r.Stop && a.mayStop(rec) {
		return "", &applyError{r.Reason, codeFailed}
	}
	switch a.Step {
	case applyBegin:
		return a.first(), m.takeForApply(ctx, r, n)
	case applyChange:
		return a.afterChange(), m.changeNode(ctx, r, n, rec)
	case applyUpdate:
		return m.updateOS(ctx, r, n, rec)
	case applyStage:
		return applyReboot, m.stageRoot(ctx, r, n)
	case applyReboot:
		return applyReturn, m.rebootNode(ctx, r, n)
	case applyReturn:
		return a.afterReturn(), m.awaitReturn(ctx, r, n)
	case applyVerify:
		return applyNote, m.verifyNode(ctx, r, n, rec)
	case applyNote:
		return applyHealth, m.noteApplied(ctx, r, n, rec)
	case applyHealth:
		return applyDone, m.awaitHealth(ctx, r, n)
	}
	return "", &applyError{fmt.Sprintf("the run is at a step %q that this version does not know", a.Step), codeFailed}
}

// mayStop reports whether a cancelled apply ends here: once the node is on its way into its reboot, it goes on to its end.
func (a *applying) mayStop(rec *Record) bool {
	if a.Step == applyReboot {
		return rec != nil && rec.State == Ready
	}
	return slices.Contains([]string{applyBegin, applyChange, applyUpdate, applyStage}, a.Step)
}

func (a *applying) first() string {
	switch {
	case a.Version != "":
		return applyUpdate
	case a.Cost == api.CostWipeRoot:
		return applyStage
	case a.Cost == api.CostNothing:
		return applyNote
	}
	return applyChange
}

func (a *applying) afterChange() string {
	if a.Cost == api.CostReboot {
		return applyReboot
	}
	return applyVerify
}

// afterReturn: a callback with the new token proves that Ignition ran with the new config; all else is read back.
func (a *applying) afterReturn() string {
	if a.Cost == api.CostWipeRoot {
		return applyNote
	}
	return applyVerify
}

// takeForApply makes the node the run's, and notes that some of the config may be on it from now on.
func (m *Machine) takeForApply(ctx context.Context, r *runRecord, n *rack.Node) error {
	err := m.update(ctx, n.Primary, func(rec *Record) error {
		if rec.State != Ready || rec.Install == nil {
			return &applyError{"it is " + string(rec.State) + ", not ready", codeFailed}
		}
		rec.Run, rec.Served, rec.Tries = r.ID, "", 1
		attempts := r.Apply.Cost == api.CostLive || r.Apply.Cost == api.CostReboot // all else is whole, or not there
		if d := r.Apply.Digest; attempts && d != rec.Install.Config && !slices.Contains(rec.Install.Attempts, d) {
			rec.Install.Attempts = append(slices.Clone(rec.Install.Attempts), d)
		}
		return nil
	})
	if err == nil {
		m.note(n.Primary, event.Event{Kind: event.RunChange, Run: r.ID, Message: r.Apply.title() + " begins"})
	}
	return err
}

func (a *applying) title() string {
	if a.Version != "" {
		return "update of the OS to " + a.Version
	}
	return fmt.Sprintf("apply of config %.12s (%s)", a.Digest, a.Cost)
}

// endApply notes why an apply failed. A node that was rebooted, and is not known to be back, has failed; any other runs on, and
// a first boot that was ordered of it is taken back.
func (m *Machine) endApply(ctx context.Context, r *runRecord, why *applyError) error {
	mac := r.Nodes[0]
	why, err := m.endStage(ctx, r, why)
	if err != nil {
		return err
	}
	m.note(mac, event.Event{Kind: event.RunChange, Run: r.ID, Message: r.Apply.title() + " failed: " + why.reason})
	if rec := m.record(mac); rec != nil && rec.Run == r.ID && (rec.State == Installed || rec.State == Booted) {
		err := m.failIn(ctx, mac, rec.State, func(next *Record) { next.Reason, next.Awaited = why.reason, false })
		if err != nil && !errors.Is(err, errStale) {
			return err
		}
	}
	return m.updateRun(ctx, r.ID, func(r *runRecord) {
		r.Apply.Reason, r.Apply.Code = sentence(why.reason), why.code
		if r.Reason == "" {
			r.Reason = r.Apply.Reason
		}
	})
}

// noteApplied ends an apply that went well.
func (m *Machine) noteApplied(ctx context.Context, r *runRecord, n *rack.Node, rec *Record) error {
	if err := m.unstage(ctx, n, rec); err != nil { // a config that changes nothing has done so nowhere else
		return err
	}
	if r.Apply.Digest != "" {
		if err := m.appliedClean(ctx, n.Primary, r.Apply.Digest, r.Apply.Health != ""); err != nil {
			return err
		}
	}
	if err := m.update(ctx, n.Primary, served); err != nil {
		return err
	}
	m.note(n.Primary, event.Event{Kind: event.RunChange, Run: r.ID, Message: r.Apply.title() + " is done, and verified"})
	return nil
}

// applyVerdict tells how an apply ended.
func (r *runRecord) applyVerdict(reached bool) (state string, code int) {
	switch {
	case reached && r.Apply.Reason == "":
		return runDone, 0
	case r.Stop:
		return runCancelled, codeFailed
	}
	return runFailed, max(r.Apply.Code, codeFailed)
}

// applyOrder gives the steps that a run of this kind shows, and their names.
func (a *applying) applyOrder() (order []string, names map[string]string) {
	order = []string{applyBegin, applyChange, applyVerify}
	names = map[string]string{applyChange: "Change of the running system", applyVerify: "Reading back", applyReturn: "Reboot", applyHealth: "Health"}
	switch {
	case a.Version != "":
		order = []string{applyBegin, applyUpdate, applyReturn, applyVerify}
		names[applyUpdate] = "OS update beside the running system"
	case a.Cost == api.CostReboot:
		order = []string{applyBegin, applyChange, applyReturn, applyVerify}
	case a.Cost == api.CostWipeRoot:
		order = []string{applyBegin, applyStage, applyReturn}
		names[applyStage], names[applyReturn] = "New Ignition config in place", "First boot with a new root file system"
	case a.Cost == api.CostNothing:
		order = []string{applyBegin}
	}
	if a.Health != "" {
		order = append(order, applyHealth)
	}
	return append(order, applyDone), names
}

// shown gives the step as a run shows it: some belong to the one before or after.
func (a *applying) shown(order []string) string {
	switch {
	case a.Step == applyReboot:
		return applyReturn
	case a.Step == applyNote:
		return order[len(order)-2]
	case a.Step == applyHealth && a.Health == "":
		return applyDone
	}
	return a.Step
}

// applyStages are those of a run that changes one node.
func applyStages(run *runRecord) []api.Stage {
	order, names := run.Apply.applyOrder()
	at := slices.Index(order, run.Apply.shown(order))
	out := []api.Stage{}
	for i, step := range order {
		if names[step] == "" {
			continue
		}
		stage := api.Stage{Name: names[step], Total: 1, State: "waiting"}
		switch {
		case i < at:
			stage.State, stage.Done = "done", 1
		case i == at && run.State != runRunning:
			stage.State = "failed"
		case i == at:
			stage.State = "running"
		}
		out = append(out, stage)
	}
	return out
}

// applyPause is the time between two attempts to reach a node.
func (m *Machine) applyPause() time.Duration {
	const least, most = 20 * time.Millisecond, 2 * time.Second
	return min(max(m.cfg.RetryPause, least), most)
}
