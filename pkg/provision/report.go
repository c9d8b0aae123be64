package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// Report implements bootd.Agents. A report may come again when its reply was lost: what was acknowledged is
// acknowledged again and changes nothing.
func (m *Machine) Report(ctx context.Context, p bootd.Peer, job string, step int, r api.StepReport) (api.StepReply, error) {
	n, rec, err := m.session(p, job)
	if err != nil {
		return api.StepReply{}, err
	}
	if rec.Job == nil {
		return api.StepReply{}, nil // the last step's report, again: without an answer the agent would not reboot
	}
	if step >= len(rec.Job.Steps) {
		return api.StepReply{}, fmt.Errorf("step %d of %s: %w", step, job, bootd.ErrUnknown)
	}
	if step < rec.Job.Next {
		return api.StepReply{}, nil
	}
	if step > rec.Job.Next {
		return api.StepReply{Stop: true, Reason: "a step before it was not acknowledged"}, nil
	}
	if rec.State != Agent && rec.State != Installing {
		return api.StepReply{Stop: true, Reason: "the node is " + string(rec.State)}, nil
	}
	kind := rec.Job.Steps[step]
	switch {
	case r.State == api.StepFailed:
		reason := r.Reason
		if reason == "" {
			reason = fmt.Sprintf("step %s failed with exit code %d", kind, r.ExitCode)
		}
		if err := m.logs.append(n.Name, []byte(r.LogTail)); err != nil {
			m.log.WarnContext(ctx, "node log", "node", n.Name, "err", err)
		}
		m.fail(ctx, n.Primary, reason, false)
		return api.StepReply{Stop: true, Reason: "noted"}, nil
	case r.State == api.StepRunning && kind != api.StepReboot:
		return m.running(ctx, n, rec, kind, r)
	}
	return m.done(ctx, n, rec, kind, r)
}

// running takes progress, and the announcement of the first write: from then on the disk holds no system to boot.
func (m *Machine) running(ctx context.Context, n *rack.Node, rec *Record, kind api.StepKind, r api.StepReport) (api.StepReply, error) {
	if kind == api.StepWrite && !rec.Job.Began {
		disk := rec.Job.Disk
		if disk == nil {
			return api.StepReply{Stop: true, Reason: "no disk was chosen"}, nil
		}
		if err := m.update(ctx, n.Primary, func(r *Record) error {
			r.Job.Began = true
			r.Install = &Install{Image: r.Job.Image, Disk: diskName(disk), Others: r.Job.Others, At: time.Now().UTC()}
			r.Callback = nil
			return nil
		}); err != nil {
			return api.StepReply{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.live[n.Primary]; l != nil {
		l.heard = time.Now()
		if r.Progress != nil {
			if l.progress == nil || r.Progress.Done > l.progress.Done {
				l.moved = l.heard
			}
			l.progress = r.Progress
		}
		m.wake()
	}
	return api.StepReply{}, nil
}

// done acknowledges a step: what it found is kept first, so that a repeat of the report finds it acknowledged.
func (m *Machine) done(ctx context.Context, n *rack.Node, rec *Record, kind api.StepKind, r api.StepReport) (api.StepReply, error) {
	m.note(n.Primary, event.Event{Kind: event.AgentStep, Message: "step " + string(kind) + " done", Run: rec.Run,
		Fields: map[string]string{"step": string(kind)}})
	switch kind {
	case api.StepDisk:
		return m.diskChosen(ctx, n, r)
	case api.StepReboot:
		return m.installed(ctx, n, rec)
	case api.StepWrite:
		var res api.WriteResult
		if err := decode(r.Result, &res); err != nil {
			return api.StepReply{}, err
		}
		return api.StepReply{}, m.advance(ctx, n, func(rec *Record) {
			if rec.Install != nil {
				rec.Install.ESP = strings.ToLower(res.ESP)
			}
		})
	case api.StepIgnition:
		var res struct {
			Skipped bool `json:"skipped"`
		}
		if err := decode(r.Result, &res); err != nil {
			return api.StepReply{}, err
		}
		return api.StepReply{}, m.advance(ctx, n, func(rec *Record) { rec.Job.Plain = res.Skipped })
	}
	return api.StepReply{}, m.advance(ctx, n, nil)
}

// decode reads a step's result; an empty one is fine.
func decode(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("step result: %w", err)
	}
	return nil
}

func (m *Machine) advance(ctx context.Context, n *rack.Node, also func(*Record)) error {
	return m.update(ctx, n.Primary, func(r *Record) error {
		if r.Job == nil {
			return errStale
		}
		r.Job.Next++
		if also != nil {
			also(r)
		}
		return nil
	})
}

func (m *Machine) diskChosen(ctx context.Context, n *rack.Node, r api.StepReport) (api.StepReply, error) {
	var res api.DiskResult
	if err := decode(r.Result, &res); err != nil {
		return api.StepReply{}, err
	}
	m.note(n.Primary, event.Event{Kind: event.AgentStep, Message: fmt.Sprintf("install disk %s (%s %s, %d bytes)",
		res.Disk.Path, res.Disk.Model, diskName(&res.Disk), res.Disk.Size)})
	for _, os := range res.Others {
		m.note(n.Primary, event.Event{Kind: event.AgentStep, Message: "another disk holds an operating system: " + os})
	}
	err := m.transition(ctx, n.Primary, Installing, func(r *Record) error {
		if r.Job == nil {
			return errStale
		}
		r.Job.Disk, r.Job.Others = &res.Disk, res.Others
		r.Job.Next++
		return nil
	})
	return api.StepReply{}, err
}

// installed makes the disk the BMC's boot device, disarms the job, and only then lets the agent reboot. A BMC that does
// not obey is no failure: the boot answer sends the node to its disk whatever the firmware's order.
func (m *Machine) installed(ctx context.Context, n *rack.Node, rec *Record) (api.StepReply, error) {
	bctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if addr, ok := m.bmcAddr(n); ok {
		text := "BMC: boot device set to disk"
		if err := m.needs.BMCs.SetBoot(bctx, n, addr, false, rec.uefi()); err != nil {
			text = "BMC: boot device not set to disk: " + err.Error()
		}
		m.note(n.Primary, event.Event{Kind: event.BMCReading, Message: text, Run: rec.Run})
	}
	err := m.transition(ctx, n.Primary, Installed, func(r *Record) error {
		if r.Job == nil || r.Install == nil {
			return errStale
		}
		r.Install.Complete = true
		r.Install.At = time.Now().UTC()
		r.Install.Plain = r.Job.Plain
		r.Install.Callback = r.Job.Callback
		r.Install.Job = r.Job.ID
		r.Job = nil
		return nil
	})
	return api.StepReply{}, err
}

// fail ends a node's way in this run. Before the write began the job is disarmed and the node boots from disk; after it
// the job stays armed, so that a reboot comes back to the microkernel and never to the half-written disk.
func (m *Machine) fail(ctx context.Context, mac rack.MAC, reason string, unreached bool) {
	err := m.transition(ctx, mac, Failed, func(r *Record) error {
		r.Reason, r.Unreached = reason, unreached
		if r.Job != nil && !r.Job.Began {
			r.Job = nil
		}
		return nil
	})
	if err != nil {
		m.log.WarnContext(ctx, "fail a node", "mac", mac, "err", err)
	}
}
