package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
)

// errStop ends a job without a report: the server said so. errWait is such an end of a job that goes on later.
var (
	errStop = errors.New("the server stopped the job")
	errWait = errors.New("the server gives the job again later")
)

// work is what the agent knows of one job, besides what the job says.
type work struct {
	node     string
	job      *api.Job
	verified bool
	shown    *api.DiskResult // what the disk step found in this boot
}

// after is what follows a job.
type after int

const (
	idle   after = iota // other orders may come
	wait                // the same job comes again
	reboot              // now
)

// do carries out a job from its next step on, and tells what follows. All errors are reported to the server; none ends the
// agent.
func (a *Agent) do(ctx context.Context, node string, job *api.Job) after {
	log := a.log.With("run", job.ID)
	if a.work == nil || a.work.job.ID != job.ID {
		a.work = &work{}
	}
	w := a.work
	w.node, w.job = node, job
	log.Info("job", "kind", string(job.Kind), "next", job.Next)
	if err := checkJob(job); err != nil {
		a.failed(ctx, w, max(job.Next, 0), err)
		return idle
	}
	for n := job.Next; n < len(job.Steps); n++ {
		err := a.one(ctx, w, n)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return idle
		case errors.Is(err, errWait):
			log.Info("job waits", "step", string(job.Steps[n]), "err", err)
			return wait
		case errors.Is(err, errStop):
			log.Warn("job left", "step", string(job.Steps[n]), "err", err)
			return idle
		default:
			a.failed(ctx, w, n, err)
			return idle
		}
		if job.Steps[n] == api.StepReboot {
			return reboot
		}
	}
	log.Info("job done")
	return idle
}

// checkJob refuses what this agent does not know, before its first step.
func checkJob(job *api.Job) error {
	switch job.Kind {
	case api.JobInstall, api.JobInventory, api.JobReboot:
	default:
		return fmt.Errorf("this agent does not know jobs of kind %q", job.Kind)
	}
	if job.Next < 0 || job.Next >= len(job.Steps) {
		return fmt.Errorf("the job has %d steps, and is at step %d", len(job.Steps), job.Next)
	}
	for _, s := range job.Steps {
		switch s {
		case api.StepVerify, api.StepReboot:
		case api.StepDisk, api.StepWrite, api.StepIgnition, api.StepFirmware:
			if job.Kind != api.JobInstall {
				return fmt.Errorf("step %q does not belong to a job of kind %q", s, job.Kind)
			}
			if s == api.StepWrite && (job.Image == nil || job.Image.Data == "") {
				return errors.New("the job has nothing to write: it names no image")
			}
		default:
			return fmt.Errorf("this agent does not know step %q", s)
		}
	}
	return nil
}

// one announces a step, does it, and reports that it is done.
func (a *Agent) one(ctx context.Context, w *work, n int) error {
	kind := w.job.Steps[n]
	log := a.log.With("step", string(kind))
	if kind != api.StepReboot { // its announcement would already be its report
		if err := a.tell(ctx, w.job.ID, n, api.StepReport{State: api.StepRunning}); err != nil {
			return err
		}
	}
	log.Info("step begins")
	result, err := a.guarded(ctx, w, n)
	if err != nil {
		return err
	}
	report := api.StepReport{State: api.StepDone}
	if result != nil {
		if report.Result, err = json.Marshal(result); err != nil {
			return fmt.Errorf("result of step %s: %w", kind, err)
		}
	}
	if err := a.tell(ctx, w.job.ID, n, report); err != nil {
		return err
	}
	log.Info("step done")
	return nil
}

// guarded turns a panic in a step into its error: a server with a bug in one step stays reachable.
func (a *Agent) guarded(ctx context.Context, w *work, n int) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("panic in a step", "step", string(w.job.Steps[n]), "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error in step %s: %v", w.job.Steps[n], p)
		}
	}()
	switch w.job.Steps[n] {
	case api.StepVerify:
		return nil, a.verify(w)
	case api.StepDisk:
		return a.chooseDisk(ctx, w)
	case api.StepWrite:
		return a.write(ctx, w, n)
	case api.StepIgnition:
		return a.ignition(ctx, w)
	case api.StepFirmware:
		return a.firmware(ctx, w)
	case api.StepReboot:
		return nil, nil // done by serve, once the report was acknowledged
	}
	return nil, fmt.Errorf("this agent does not know step %q", w.job.Steps[n])
}

// tell repeats a report until the server answered it. The error matches errStop when the job is to be left.
func (a *Agent) tell(ctx context.Context, job string, n int, r api.StepReport) error {
	for try := 0; ; try++ {
		reply, err := a.client.report(ctx, job, n, r)
		switch {
		case err == nil && reply.Again:
			return fmt.Errorf("%w: %s", errWait, reply.Reason)
		case err == nil && reply.Stop:
			return fmt.Errorf("%w: %s", errStop, reply.Reason)
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case lasting(err):
			return fmt.Errorf("%w: %w", errStop, err)
		}
		a.log.Warn("report was not answered, trying again", "state", string(r.State), "err", err)
		if err := a.retry.wait(ctx, try); err != nil {
			return err
		}
	}
}

// failed reports why a step failed, with the log's tail.
func (a *Agent) failed(ctx context.Context, w *work, n int, why error) {
	a.log.Error("job failed", "run", w.job.ID, "err", why)
	r := api.StepReport{State: api.StepFailed, Reason: why.Error(), ExitCode: 1, LogTail: a.book.Tail(),
		Lasting: errors.Is(why, hwinfo.ErrErase)}
	if err := a.tell(ctx, w.job.ID, n, r); err != nil && !errors.Is(err, errStop) && ctx.Err() == nil {
		a.log.Warn("failure was not reported", "err", err)
	}
}

// reboot leaves the machine: the log goes to the server first, for a few seconds at most.
func (a *Agent) reboot(ctx context.Context) error {
	a.log.Info("rebooting")
	fctx, cancel := context.WithTimeout(ctx, 3*a.tick)
	a.book.flush(fctx, a.client.sendLog)
	cancel()
	if err := a.machine.Reboot(); err != nil {
		a.log.Error("reboot", "err", err)
		return fmt.Errorf("reboot: %w", err)
	}
	return nil
}
