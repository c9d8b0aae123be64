package provision

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// refreshTime bounds the question to all BMCs that a view may ask.
const refreshTime = 6 * time.Second

// refusedPause is how long a BMC that refused the credentials is not asked for views: it may lock the account after a few
// attempts, and views are asked for often. Runs and orders ask it all the same.
const refusedPause = 5 * time.Minute

// logTail is how much of a node's log a view carries, in bytes.
const logTail = 4 << 10

// shownEvidence is how many facts of its timeline a node is shown with.
const shownEvidence = 200

// Nodes gives every row as the operator sees it, the management node first. With refresh every BMC is asked, all at once.
func (m *Machine) Nodes(ctx context.Context, refresh bool) ([]api.NodeView, error) {
	if refresh {
		m.refresh(ctx)
	}
	r := m.Rack()
	out := []api.NodeView{}
	if mg := r.Management(); mg != nil {
		out = append(out, m.managementView(mg))
	}
	return append(out, m.views(m.inForce().list)...), nil
}

// Node gives one node with everything that is known of it.
func (m *Machine) Node(_ context.Context, word string) (api.NodeView, error) {
	n, err := m.find(word)
	if err != nil {
		return api.NodeView{}, err
	}
	if n.Management {
		return m.managementView(n), nil
	}
	return m.whole(n), nil
}

func (m *Machine) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, n := range m.Rack().Servers() {
		if at := m.known(n.Primary).refused; !at.IsZero() && time.Since(at) < refusedPause {
			continue
		}
		wg.Go(func() {
			// The reading, or that there is none, is kept where the view finds it.
			_, _ = m.readPower(ctx, n)
		})
	}
	wg.Wait()
}

func (m *Machine) managementView(n *rack.Node) api.NodeView {
	return api.NodeView{
		Name: n.Name, Where: n.Where(), PrimaryMAC: n.Primary.String(), BMCMAC: n.BMC.String(), SecondaryMAC: n.Secondary.String(),
		Type: n.Type, Management: true, Address: m.cfg.Server.String(), State: "management",
	}
}

// shown gives the record of a row, an empty one when the row went in this moment.
func (m *Machine) shown(n *rack.Node) *Record {
	if _, rec := m.node(n.Primary); rec != nil {
		return rec
	}
	return &Record{MAC: n.Primary, State: Known}
}

// view is a node as lists have it.
func (m *Machine) view(n *rack.Node) api.NodeView {
	rec := m.shown(n)
	v := api.NodeView{
		Name: n.Name, Where: n.Where(), PrimaryMAC: n.Primary.String(), BMCMAC: n.BMC.String(), SecondaryMAC: n.Secondary.String(),
		Type: n.Type, State: string(rec.State), Since: rec.Since, Step: rec.Step, Reason: rec.Reason, Run: rec.Run, Clock: rec.Clock,
		Tries: rec.Tries, Held: rec.held(), Adopted: rec.Adopted,
	}
	v.OSVersion, v.WantedOS = rec.OSVersion, rec.WantedOS
	if rec.Callback != nil {
		v.OS = rec.Callback.OS
	}
	if a, ok := m.Assigned(n.Primary); ok {
		v.Address = a.Addr.String()
	}
	if a, ok := m.bmcAddr(n); ok {
		v.BMCAddress = a.String()
	}
	if rec.Install != nil && rec.Install.Complete {
		v.Image = rec.Install.Image
	}
	if rec.Install != nil {
		v.OtherOS = rec.Install.Others
	}
	if rec.Job != nil && rec.Job.Shown != nil {
		v.Disk, v.OtherOS = &rec.Job.Shown.Disk, rec.Job.Shown.Others
	} else if rec.Job != nil && rec.Job.Disk != nil {
		v.Disk, v.OtherOS = rec.Job.Disk, rec.Job.Others
	}
	m.alive(n.Primary, func(l *live) {
		v.Power, v.BMCReached, v.BMCError, v.Progress = l.power, l.reached, l.bmcError, l.progress
	})
	if m.limit(rec) > 0 {
		v.Deadline = int(max(m.timeLeft(rec), 0).Seconds())
	}
	if v.Disk == nil {
		v.Disk = rec.installDisk()
	}
	return v
}

// whole is a node with everything that is known of it.
func (m *Machine) whole(n *rack.Node) api.NodeView {
	v, rec := m.views([]*rack.Node{n})[0], m.shown(n)
	v.Identity, v.Hardware, v.Callback = rec.Identity, rec.Hardware, rec.Callback
	v.LogTail = m.logs.tail(n.Name, logTail)
	events := m.known(n.Primary).evidence
	if m.needs.History != nil {
		events = m.needs.History.Node(n.Primary.String(), shownEvidence)
	}
	for _, e := range events {
		v.Evidence = append(v.Evidence, api.Evidence{Time: e.Time, Kind: string(e.Kind), Text: e.Message})
	}
	return v
}

// installDisk finds the disk of the last install in the inventory; nil when it is not there.
func (r *Record) installDisk() *api.Disk {
	if r.Install == nil || r.Hardware == nil {
		return nil
	}
	for i := range r.Hardware.Disks {
		if d := &r.Hardware.Disks[i]; diskName(d) == r.Install.Disk {
			return d
		}
	}
	return nil
}

// Runs gives all runs, newest first, without their nodes.
func (m *Machine) Runs() []api.RunView {
	m.mu.RLock()
	ids := make([]string, 0, len(m.runs))
	for id := range m.runs {
		ids = append(ids, id)
	}
	m.mu.RUnlock()
	out := []api.RunView{}
	for _, id := range ids {
		if v, err := m.RunView(id); err == nil {
			v.Nodes = nil
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b api.RunView) int { return b.Began.Compare(a.Began) })
	return out
}

// RunView gives one run with its stages and nodes.
func (m *Machine) RunView(id string) (api.RunView, error) {
	run := m.run(id)
	if run == nil {
		return api.RunView{}, fmt.Errorf("%q: %w", id, ErrNoRun)
	}
	v := api.RunView{
		ID: run.ID, State: run.State, Image: run.Image, Began: run.Began, Ended: run.Ended,
		Reason: run.Reason, Skipped: run.Skipped, Code: run.Code, Changed: true, Questions: m.questions(run), Request: run.Request,
		Erase: m.table(run),
	}
	var nodes []*rack.Node
	for _, mac := range run.Nodes {
		if n, rec := m.node(mac); n != nil && rec.Run == id {
			nodes = append(nodes, n)
		}
	}
	v.Nodes = m.views(nodes)
	v.Stages = stages(run, v.Nodes)
	return v, nil
}

// stages counts how far the nodes of a run are, by the names that racker has always printed.
func stages(run *runRecord, nodes []api.NodeView) []api.Stage {
	bmc := api.Stage{Name: "Checking BMC connectivity", Total: len(run.Nodes)}
	switch {
	case run.Apply != nil:
		return applyStages(run)
	case !installs(run.Request.Provision) || run.Request.StopAt != "":
		return bootStages(run, nodes, bmc)
	}
	return installStages(run, nodes, bmc)
}

// installStages are those of a run that brings nodes to their installed systems.
func installStages(run *runRecord, nodes []api.NodeView, bmc api.Stage) []api.Stage {
	install := api.Stage{Name: "OS installation via PXE", Total: len(run.Nodes)}
	bring := api.Stage{Name: "OS bring-up", Total: len(run.Nodes)}
	var failed [3]bool
	for _, n := range nodes {
		at := State(n.State)
		if at == Failed {
			at = State(n.Step)
			failed[stageOf(at)] = true
		}
		if at != CheckingBMC || n.State != string(Failed) && n.BMCReached {
			bmc.Done++
		}
		if stageOf(at) == 2 {
			install.Done++
		}
		if n.State == string(Ready) {
			bring.Done++
		}
	}
	out := []api.Stage{bmc, install, bring}
	over := run.State != runRunning
	for i := range out {
		begun := i == 0 || run.Checked && (i == 1 || out[i-1].Done > 0)
		out[i].State = stageState(out[i], failed[i], over, i == 0 || out[i-1].State == "done", begun)
	}
	return out
}

// bootStages are those of a run that installs nothing.
func bootStages(run *runRecord, nodes []api.NodeView, bmc api.Stage) []api.Stage {
	boot := api.Stage{Name: "Boot into the microkernel", Total: len(run.Nodes)}
	if run.Request.Provision == provisionDisk {
		boot.Name = "Boot from disk"
	}
	failed := false
	for _, n := range nodes {
		at := State(n.State)
		if at != CheckingBMC && (at != Failed || State(n.Step) != CheckingBMC) {
			bmc.Done++
		}
		failed = failed || at == Failed
		if n.Held || at == Ready || at == Known {
			boot.Done++
		}
	}
	over := run.State != runRunning
	bmc.State = stageState(bmc, failed && !run.Checked, over, true, true)
	boot.State = stageState(boot, failed, over, bmc.State == "done", run.Checked)
	return []api.Stage{bmc, boot}
}

func stageOf(s State) int {
	switch s {
	case Known, CheckingBMC:
		return 0
	case Installed, Booted, Ready:
		return 2
	}
	return 1
}

func stageState(s api.Stage, failed, over, before, begun bool) string {
	switch {
	case s.Total > 0 && s.Done == s.Total && before && begun:
		return "done"
	case over && begun && (failed || before):
		return "failed"
	case over || !begun:
		return "waiting"
	}
	return "running"
}
