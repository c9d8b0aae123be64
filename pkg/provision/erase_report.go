package provision

import (
	"context"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// diskChosen takes what an agent would erase. It may go on when that was confirmed and an image stream is free; else it
// leaves the job, asks for it again, and shows its disks anew when it gets it: what is written is what is there then.
func (m *Machine) diskChosen(ctx context.Context, n *rack.Node, rec *Record, r api.StepReport) (api.StepReply, error) {
	var res api.DiskResult
	if err := decode(r.Result, &res); err != nil {
		return api.StepReply{}, err
	}
	if err := bounded("the disk of "+n.Name, maxDisk, res); err != nil {
		return m.stopped(ctx, n, err.Error(), err.Error())
	}
	digest := res.Digest()
	if rec.Job.Shown == nil || rec.Job.Row != digest {
		m.tellDisk(n.Primary, &res)
	}
	wait := "its disk waits to be confirmed"
	if m.run(rec.Run).mayErase(rec, &res, digest) {
		if may, _ := m.stream(n.Primary); may {
			if err := m.noteShown(ctx, rec, &res); err != nil {
				m.streams.release(n.Primary)
				return api.StepReply{}, err
			}
			return api.StepReply{}, m.takeDisk(ctx, n, &res, digest)
		}
		wait = "it waits for an image stream"
	} else {
		m.streams.release(n.Primary)
	}
	err := m.update(ctx, n.Primary, func(r *Record) error {
		if !r.atDisk(rec.Job.ID) {
			return errStale
		}
		if r.Job.Shown == nil || r.Job.Row != digest {
			r.Job.ShownAt = time.Now().UTC()
		}
		r.Job.Shown, r.Job.Row = &res, digest
		return nil
	})
	return api.StepReply{Stop: true, Again: true, Reason: wait}, err
}

// noteShown keeps what was confirmed with the run's plan as the table's confirmations are: what a write leaves behind that was
// cut short is then known for the run's own doing.
func (m *Machine) noteShown(ctx context.Context, rec *Record, res *api.DiskResult) error {
	if _, ok := m.run(rec.Run).Allowed[rec.MAC]; ok {
		return nil
	}
	return m.updateRun(ctx, rec.Run, func(r *runRecord) { r.Allowed[rec.MAC] = allow(res, time.Now()) })
}

// atDisk reports whether the node's job is that one, before its disk step.
func (r *Record) atDisk(job string) bool {
	return r.State == Agent && r.Job != nil && r.Job.ID == job && r.Job.Next < len(r.Job.Steps) && r.Job.Steps[r.Job.Next] == api.StepDisk
}

func (m *Machine) tellDisk(mac rack.MAC, res *api.DiskResult) {
	m.note(mac, event.Event{Kind: event.AgentStep, Message: "install disk " + diskText(&res.Disk)})
	for i := range res.Wipes {
		m.note(mac, event.Event{Kind: event.AgentStep, Message: "signatures to be erased on " + diskText(&res.Wipes[i])})
	}
	for _, os := range res.Others {
		m.note(mac, event.Event{Kind: event.AgentStep, Message: "another disk holds an operating system: " + os})
	}
}

// takeDisk acknowledges the disk step.
func (m *Machine) takeDisk(ctx context.Context, n *rack.Node, res *api.DiskResult, digest string) error {
	err := m.transition(ctx, n.Primary, Installing, func(r *Record) error {
		if r.Job == nil || r.Job.Next >= len(r.Job.Steps) || r.Job.Steps[r.Job.Next] != api.StepDisk {
			return errStale
		}
		if !m.run(r.Run).mayErase(r, res, digest) {
			return errStale
		}
		r.Job.Disk, r.Job.Others, r.Job.Row, r.Job.Shown = &res.Disk, res.Others, digest, nil
		r.Job.Next++
		return nil
	})
	if err != nil {
		if rec := m.record(n.Primary); rec == nil || !rec.streaming() {
			m.streams.release(n.Primary)
		}
	}
	return err
}
