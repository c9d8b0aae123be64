package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
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
		return m.stoppedFor(ctx, n, reason, "noted", r.Lasting)
	case r.State == api.StepRunning && kind != api.StepReboot:
		return m.running(ctx, n, rec, kind, r)
	case r.State == api.StepRunning || r.State == api.StepDone:
		return m.acknowledge(ctx, n, rec, step, r)
	}
	return api.StepReply{}, fmt.Errorf("step %d of %s is %q: %w", step, job, r.State, bootd.ErrRefused)
}

// stopped fails the node and tells its agent to leave the job: only once that is durable, since an agent that left a job
// which the state still has would begin it again.
func (m *Machine) stopped(ctx context.Context, n *rack.Node, reason, say string) (api.StepReply, error) {
	return m.stoppedFor(ctx, n, reason, say, false)
}

// stoppedFor is stopped for a reason that may be lasting: another attempt would only meet it again.
func (m *Machine) stoppedFor(ctx context.Context, n *rack.Node, reason, say string, lasting bool) (api.StepReply, error) {
	if err := m.failFor(ctx, n.Primary, reason, lasting); err != nil {
		return api.StepReply{}, err
	}
	return api.StepReply{Stop: true, Reason: say}, nil
}

// running takes progress, and the announcement of the first write: from then on the disk holds no system to boot.
func (m *Machine) running(ctx context.Context, n *rack.Node, rec *Record, kind api.StepKind, r api.StepReport) (api.StepReply, error) {
	if kind == api.StepWrite && !rec.writing() {
		if rec.Job.Disk == nil {
			return api.StepReply{Stop: true, Reason: "no disk was chosen"}, nil
		}
		err := m.update(ctx, n.Primary, func(r *Record) error {
			if r.State != Installing || r.Job == nil || r.Job.ID != rec.Job.ID || r.Job.Disk == nil {
				return errStale // let go of, or failed, in this moment
			}
			r.Job.Began = true
			r.Install = &Install{Image: r.Job.Image, Disk: diskName(r.Job.Disk), Others: r.Job.Others, At: time.Now().UTC(),
				Job: r.Job.ID, Spec: r.Job.Spec, Config: r.Job.Config}
			r.Callback, r.Adopted, r.Awaited, r.OSVersion = nil, false, false, ""
			return nil
		})
		if errors.Is(err, errStale) {
			return api.StepReply{Stop: true, Reason: "the order was taken back"}, nil
		}
		if err != nil {
			return api.StepReply{}, err
		}
	}
	m.alive(n.Primary, func(l *live) {
		l.heard = time.Now()
		if p := r.Progress; p != nil && sound(p) {
			if l.progress == nil || p.Done > l.progress.Done {
				l.moved, l.spent = l.heard, 0
			}
			l.progress = p
		}
	})
	return api.StepReply{}, nil
}

// writing reports whether the write of the node's job was announced, for the disk that was chosen.
func (r *Record) writing() bool {
	return r.Job.Began && r.Job.Disk != nil && r.Install != nil && r.Install.Job == r.Job.ID && r.Install.Disk == diskName(r.Job.Disk)
}

// sound reports whether progress is such that it can be shown.
func sound(p *api.Progress) bool {
	return p.Done >= 0 && p.Done <= p.Total && p.Total > 0 && p.BytesPerSecond >= 0
}

// acknowledge takes a step as done: what it found is kept first, so that a repeat of the report finds it acknowledged.
func (m *Machine) acknowledge(ctx context.Context, n *rack.Node, rec *Record, step int, r api.StepReport) (api.StepReply, error) {
	kind := rec.Job.Steps[step]
	m.note(n.Primary, event.Event{Kind: event.AgentStep, Message: "step " + string(kind) + " done", Run: rec.Run,
		Fields: map[string]string{"step": string(kind)}})
	switch kind {
	case api.StepDisk:
		return m.diskChosen(ctx, n, rec, r)
	case api.StepReboot:
		if rec.Job.Kind != api.JobInstall {
			return m.looked(ctx, n, rec)
		}
		return m.installed(ctx, n, rec)
	case api.StepWrite:
		return m.written(ctx, n, rec, step, r)
	case api.StepIgnition:
		var res struct {
			Skipped bool `json:"skipped"`
		}
		if err := decode(r.Result, &res); err != nil {
			return api.StepReply{}, err
		}
		return api.StepReply{}, m.advance(ctx, n, rec, step, func(rec *Record) { rec.Job.Plain = res.Skipped })
	}
	return api.StepReply{}, m.advance(ctx, n, rec, step, nil)
}

// guid is the text form of a partition GUID (RFC 9562 4), as it ends in the URL of a boot script.
var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// written keeps where the written disk's EFI system partition is.
func (m *Machine) written(ctx context.Context, n *rack.Node, rec *Record, step int, r api.StepReport) (api.StepReply, error) {
	var res api.WriteResult
	if err := decode(r.Result, &res); err != nil {
		return api.StepReply{}, err
	}
	esp := strings.ToLower(res.ESP)
	why := ""
	switch {
	case !rec.writing():
		why = "the agent wrote the disk without saying so before"
	case esp != "" && !guid.MatchString(esp):
		why = fmt.Sprintf("the agent's EFI system partition %.40q is no GUID", res.ESP)
	}
	if why != "" {
		return m.stopped(ctx, n, why, why)
	}
	return api.StepReply{}, m.advance(ctx, n, rec, step, func(rec *Record) { rec.Install.ESP = esp })
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

// advance acknowledges one step, once: the same report may be under way twice.
func (m *Machine) advance(ctx context.Context, n *rack.Node, was *Record, step int, also func(*Record)) error {
	err := m.update(ctx, n.Primary, func(r *Record) error {
		if r.Job == nil || r.Job.ID != was.Job.ID || r.Job.Next != step || r.State != was.State || *r.Session != *was.Session {
			return errStale
		}
		r.Job.Next++
		if also != nil {
			also(r)
		}
		return nil
	})
	if err == nil {
		m.moved(n.Primary)
	}
	return err
}

// installed makes the disk the BMC's boot device, disarms the job, and only then lets the agent reboot. A BMC that does
// not obey is no failure: the boot answer sends the node to its disk whatever the firmware's order.
func (m *Machine) installed(ctx context.Context, n *rack.Node, rec *Record) (api.StepReply, error) {
	m.bootFromDisk(ctx, n, rec)
	err := m.transition(ctx, n.Primary, Installed, func(r *Record) error {
		if r.Job == nil || r.Install == nil {
			return errStale
		}
		r.Install.Complete = true
		r.Install.At = time.Now().UTC()
		r.Install.Plain = r.Job.Plain
		r.Install.Callback = r.Job.Callback
		r.Install.RackKey, r.Install.Names = r.Job.RackKey, r.Job.Names
		r.Install.Job, r.Done = r.Job.ID, r.Job.ID
		r.Job = nil
		return nil
	})
	return api.StepReply{}, err
}

// looked ends an inventory: the node goes back to where it was, and to its disk.
func (m *Machine) looked(ctx context.Context, n *rack.Node, rec *Record) (api.StepReply, error) {
	m.bootFromDisk(ctx, n, rec)
	return api.StepReply{}, m.transition(ctx, n.Primary, rec.rest(), func(r *Record) error {
		if r.Job == nil || r.Job.ID != rec.Job.ID || r.Job.Began {
			return errStale
		}
		r.Job, r.Done = nil, r.Job.ID
		return served(r)
	})
}

// bootFromDisk makes the disk the BMC's boot device, which is a help and no more.
func (m *Machine) bootFromDisk(ctx context.Context, n *rack.Node, rec *Record) {
	addr, ok := m.bmcAddr(n)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, bootDeviceTime)
	defer cancel()
	text := "BMC: boot device set to disk"
	if err := m.needs.BMCs.SetBoot(ctx, n, addr, false, rec.uefi()); err != nil {
		text = "BMC: boot device not set to disk: " + err.Error()
	}
	m.note(n.Primary, event.Event{Kind: event.BMCReading, Message: text, Run: rec.Run})
}

// bootDeviceTime bounds the change of the boot device while an agent waits to reboot.
const bootDeviceTime = 20 * time.Second
