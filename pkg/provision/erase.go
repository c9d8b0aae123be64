package provision

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// ErrTable is matched by a confirmation of disks that are others by now.
var ErrTable = errors.New("the disks are not those of the table that was confirmed")

// erasure is the confirmation of one node's disks, as a run keeps it.
type erasure struct {
	Digest string `json:"digest"` // api.DiskResult.Digest
	// Disks are the disks that are erased, as diskMark gives them, the install disk first.
	Disks []string `json:"disks"`
	At    int64    `json:"at"` // seconds since 1970
}

func allow(res *api.DiskResult, now time.Time) erasure {
	a := erasure{Digest: res.Digest(), Disks: []string{diskMark(&res.Disk)}, At: now.Unix()}
	for i := range res.Wipes {
		a.Disks = append(a.Disks, diskMark(&res.Wipes[i]))
	}
	return a
}

// diskMark is short, for a run keeps one for each disk of a rack.
func diskMark(d *api.Disk) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", api.DiskID(d), d.Model, d.Size))
	return hex.EncodeToString(sum[:8])
}

// mayErase reports whether what the node's agent found may be erased: somebody confirmed just that, in the table of the run
// or with its plan. What is left of a write that this run began on the same disks needs nobody once more.
func (r *runRecord) mayErase(rec *Record, res *api.DiskResult, digest string) bool {
	if r == nil || rec.Run != r.ID || r.State != runRunning {
		return false
	}
	if shown := r.Request.Shown[rec.MAC.String()]; shown != "" && (shown == digest || shown == ownDigest(rec, res)) {
		return true
	}
	a, ok := r.Allowed[rec.MAC]
	return ok && (a.Digest == digest || a.halfWritten(rec, res))
}

// halfWritten reports whether all that would be erased are disks of the confirmation, and the write of the install disk began
// after it: then what is on that disk is the run's own doing.
func (a *erasure) halfWritten(rec *Record, res *api.DiskResult) bool {
	i := rec.Install
	if rec.Job == nil || !rec.Job.Began || i == nil || i.Complete || i.At.Unix() < a.At || i.Disk != diskName(&res.Disk) {
		return false
	}
	now := allow(res, time.Time{}).Disks
	return now[0] == a.Disks[0] && !slices.ContainsFunc(now, func(d string) bool { return !slices.Contains(a.Disks, d) })
}

// asks reports whether the node stands before its first write and its disks wait to be confirmed.
func (m *Machine) asks(rec *Record) bool {
	return rec.shows() && !m.run(rec.Run).mayErase(rec, rec.Job.Shown, rec.Job.Row)
}

// shows reports whether the node waits in the microkernel with its disks shown.
func (r *Record) shows() bool {
	return r.State == Agent && r.Job != nil && r.Job.Kind == api.JobInstall && r.Job.Shown != nil && !r.Job.Hold
}

// table gives the disks of a run that wait to be confirmed; nil when none does.
func (m *Machine) table(r *runRecord) *api.EraseView {
	v, _ := m.tableNow(r)
	return v
}

// tableNow also tells how long the table waits for further nodes at most. Who comes after others were confirmed is not waited
// for, nor is who takes much longer than they.
func (m *Machine) tableNow(r *runRecord) (v *api.EraseView, wait time.Duration) {
	if !r.erases() {
		return nil, 0
	}
	v = &api.EraseView{}
	last, going := m.began, false
	for _, mac := range r.phase() {
		_, allowed := r.Allowed[mac]
		going = going || allowed
		n, rec := m.node(mac)
		if n == nil || rec.Run != r.ID || r.leftOut(mac) {
			continue
		}
		switch {
		case rec.shows() && !r.mayErase(rec, rec.Job.Shown, rec.Job.Row):
			v.Rows = append(v.Rows, eraseRow(n, rec.Job.Shown, rec.Job.Row))
			if rec.Job.ShownAt.After(last) {
				last = rec.Job.ShownAt
			}
		case rec.coming():
			v.Waiting = append(v.Waiting, n.Where())
		}
	}
	if len(v.Rows) == 0 {
		return nil, 0
	}
	wait = max(0, time.Until(last.Add(m.cfg.Deadlines.Disks)))
	v.Open, v.Digest = len(v.Waiting) == 0 || going || wait == 0, api.EraseDigest(v.Rows)
	return v, wait
}

// erases reports whether the run is on its way to erase disks.
func (r *runRecord) erases() bool {
	return r.State == runRunning && !r.Stop && r.Checked && installs(r.Request.Provision)
}

// phase gives the nodes that are installed now: the canaries first.
func (r *runRecord) phase() []rack.MAC {
	if len(r.Canary) > 0 && !r.CanaryOK {
		return r.Canary
	}
	return r.Nodes
}

func eraseRow(n *rack.Node, res *api.DiskResult, digest string) api.EraseRow {
	return api.EraseRow{
		Node: n.Primary.String(), Where: n.Where(), Disk: res.Disk, Wipes: res.Wipes, Matched: res.Matched, Digest: digest,
	}
}

// coming reports whether a node is on its way to show its disks for the first time in its run. One that is tried again is
// not waited for: its disks are asked about alone.
func (r *Record) coming() bool {
	switch r.State {
	case CheckingBMC, Powering, Netbooting:
		return r.Tries <= 1
	case Agent:
		return r.Tries <= 1 && r.Job != nil && !r.Job.Hold && r.Job.Shown == nil && !r.Job.Began
	}
	return false
}

// leftOut reports whether the node was left out when disks were confirmed.
func (r *runRecord) leftOut(mac rack.MAC) bool { return slices.Contains(r.Out, mac) }

// ConfirmErase confirms the table of disks that a run waits to erase, or the part of it that is there. The first answer
// counts. Errors match ErrNoRun, ErrRequest, ErrNotAsked when nothing waits, or ErrTable when the disks changed.
func (m *Machine) ConfirmErase(ctx context.Context, id string, a api.EraseAnswer) (api.RunView, error) {
	var out []rack.MAC
	for _, word := range a.Exclude {
		n, err := m.server(word)
		if err != nil {
			return api.RunView{}, err
		}
		out = append(out, n.Primary)
	}
	if err := m.allowAll(ctx, id, a.Digest, out); err != nil {
		return api.RunView{}, err
	}
	return m.RunView(id)
}

// allowAll confirms the table of that digest, but for the nodes that are left out.
func (m *Machine) allowAll(ctx context.Context, id, digest string, out []rack.MAC) error {
	var done []rack.MAC
	err := m.changeRun(ctx, id, func(r *runRecord) error {
		done = nil
		t := m.table(r)
		switch {
		case t == nil:
			return fmt.Errorf("run %s waits for no such answer; another terminal may have been first: %w", id, ErrNotAsked)
		case t.Digest != digest:
			return fmt.Errorf("run %s: %w; nothing was erased", id, ErrTable)
		}
		rows := map[rack.MAC]bool{}
		for _, row := range t.Rows {
			mac, err := rack.ParseMAC(row.Node)
			if err != nil {
				return err
			}
			rows[mac] = true
			if slices.Contains(out, mac) {
				r.Out = append(r.Out, mac)
				continue
			}
			rec := m.record(mac)
			if rec == nil || !rec.shows() || rec.Job.Row != row.Digest {
				return fmt.Errorf("run %s: %s: %w; nothing was erased", id, row.Where, ErrTable)
			}
			r.Allowed[mac] = allow(rec.Job.Shown, time.Now())
			done = append(done, mac)
		}
		for _, mac := range out {
			if !rows[mac] {
				return fmt.Errorf("%s is not in the table: %w", mac, ErrRequest)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, mac := range done {
		m.queue(mac, true)
		m.queue(mac, false) // its deadline begins now
		m.note(mac, event.Event{Kind: event.RunChange, Run: id, Message: "its disk was confirmed to be erased"})
	}
	return nil
}

// tablePause is the least time, per node of the run, between two looks at its table: a rack of a thousand servers changes
// often.
const tablePause = 100 * time.Microsecond

// confirmTables confirms tables by itself where the run's order allows it, until ctx is done.
func (m *Machine) confirmTables(ctx context.Context, id string) error {
	told := ""
	for {
		changed := m.changes()
		r := m.run(id)
		t, wait := m.tableNow(r)
		if t != nil && t.Open && t.Digest != told {
			var err error
			if told, err = m.confirmTable(ctx, r, t); err != nil {
				return err
			}
		}
		if t == nil || t.Open {
			wait = time.Hour // nothing comes with time alone
		}
		opens := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-opens.C:
		}
		opens.Stop()
		if !pause(ctx, time.Duration(len(r.Nodes))*tablePause) {
			return nil
		}
	}
}

// confirmTable confirms a table that the run's order allows, or gives its digest and tells that somebody must.
func (m *Machine) confirmTable(ctx context.Context, r *runRecord, t *api.EraseView) (told string, err error) {
	if r.Request.Erase == api.EraseExact && len(t.Inexact()) == 0 {
		err := m.allowAll(ctx, r.ID, t.Digest, nil)
		for err != nil && !errors.Is(err, ErrTable) && !errors.Is(err, ErrNotAsked) { // these say that it is another one by now
			if errors.Is(err, store.ErrClosed) {
				return "", err
			}
			m.log.ErrorContext(ctx, "confirmation of disks not stored", "run", r.ID, "err", err)
			if !pause(ctx, storePause) {
				return "", nil
			}
			err = m.allowAll(ctx, r.ID, t.Digest, nil) // the nodes wait for nobody else
		}
		return "", nil
	}
	m.published(r.ID, fmt.Sprintf("waits for the disks of %d servers to be confirmed", len(t.Rows)))
	m.any.fire() // it may be time alone that opened it
	return t.Digest, nil
}

// leaves lets go of a node of a run that stops, and excludes one that was left out when disks were confirmed, unless its write
// has begun. done is false when there was nothing to do.
func (m *Machine) leaves(ctx context.Context, r *runRecord, rec *Record) (done bool, err error) {
	if r.Stop && rec.mayLeave() {
		return true, m.release(ctx, rec.MAC)
	}
	if !r.leftOut(rec.MAC) || rec.State != Failed && !rec.mayLeave() {
		return false, nil
	}
	return true, m.exclude(ctx, rec.MAC, "left out by the operator before its disk was erased", func(now *Record) error {
		if now.Job != nil && now.Job.Began && now.writing() {
			return errStale
		}
		return notServed(now)
	})
}

// diskText names a disk in a fact.
func diskText(d *api.Disk) string {
	return fmt.Sprintf("%s (%s %s, %d bytes)", d.Path, cmp.Or(d.Model, d.Transport), api.DiskID(d), d.Size)
}
