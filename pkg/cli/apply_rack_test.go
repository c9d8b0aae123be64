package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/provision"
)

// applies is what a testRack does with orders to change running nodes: it applies what the real comparison says it may.
type applies struct {
	runs  map[string]api.RunView
	fails map[string]bool // by name of the node
	// updates are the OS updates that were sent.
	updates []api.UpdateView
}

// Updates implements daemon.Updates.
func (r *testRack) Updates(context.Context) ([]api.UpdateView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]api.UpdateView{}, r.applies.updates...), nil
}

// PutUpdate implements daemon.Updates.
func (r *testRack) PutUpdate(_ context.Context, version, sha256 string, in io.Reader) (api.UpdateView, error) {
	n, err := io.Copy(io.Discard, in)
	v := api.UpdateView{Version: version, SHA256: sha256, Size: n, Added: testTime()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applies.updates = append(r.applies.updates, v)
	return v, err
}

// Apply implements daemon.Changes.
func (r *testRack) Apply(ctx context.Context, word string, o api.ApplyOrder) (api.RunView, error) {
	n, err := r.Node(ctx, word)
	if err != nil {
		return api.RunView{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.configs[n.PrimaryMAC]
	c, err := ignite.Compare(v.Applied, v.Wanted)
	switch {
	case err != nil:
		return api.RunView{}, err
	case v.WantedDigest != o.Digest:
		return api.RunView{}, fmt.Errorf("%s: another digest: %w", n.Name, provision.ErrRequest)
	case ignite.Dearer(c.Cost, o.Cost), c.Cost == api.CostWipeRoot && !o.Wipe, c.Cost == api.CostReinstall && !o.Wipe:
		return api.RunView{}, fmt.Errorf("%s costs %s: %w", n.Name, c.Cost, provision.ErrWipe)
	}
	text := "apply " + n.Name + " " + c.Cost + allows(o.Erase, o.Shown)
	if o.Health != "" {
		text += " health: " + o.Health
	}
	return r.changed(n, text, func() { v.Applied, v.AppliedDigest = v.Wanted, v.WantedDigest; r.configs[n.PrimaryMAC] = v }), nil
}

// UpgradeOS implements daemon.Changes.
func (r *testRack) UpgradeOS(ctx context.Context, word string, o api.OSUpgrade) (api.RunView, error) {
	n, err := r.Node(ctx, word)
	if err != nil {
		return api.RunView{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.OSVersion == o.Version {
		return api.RunView{State: runDone, Nodes: []api.NodeView{n}, Stages: []api.Stage{}}, nil
	}
	return r.changed(n, "os-upgrade "+n.Name+" "+o.Version, func() {
		at := slices.IndexFunc(r.nodes, func(v api.NodeView) bool { return v.PrimaryMAC == n.PrimaryMAC })
		r.nodes[at].OSVersion, r.nodes[at].WantedOS = o.Version, o.Version
	}), nil
}

// changed is the run of one change; the caller holds the lock.
func (r *testRack) changed(n api.NodeView, text string, do func()) api.RunView {
	r.orders = append(r.orders, text)
	run := api.RunView{ID: fmt.Sprintf("run-%d", len(r.orders)), State: runDone, Changed: true, Nodes: []api.NodeView{n}, Stages: []api.Stage{}, Began: testTime()}
	if r.applies.fails[n.Name] {
		run.State, run.Code, run.Reason = runFailed, codeFailed, "the change failed: put /etc/hosts: exit code 1"
	} else {
		do()
	}
	if r.applies.runs == nil {
		r.applies.runs = map[string]api.RunView{}
	}
	r.applies.runs[run.ID] = run
	return run
}

// installed has all servers whose config was sent run it.
func (s *scriptRacks) installed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: installed")
	}
	s.mu.Lock()
	r := s.racks[ts]
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes = slices.Clone(r.nodes)
	for i := range r.nodes {
		n := &r.nodes[i]
		if v, ok := r.configs[n.PrimaryMAC]; ok {
			v.Applied, v.AppliedDigest = v.Wanted, v.WantedDigest
			r.configs[n.PrimaryMAC] = v
			n.State, n.Image, n.Power = stateReady, "0123456789abcdef", api.PowerOn
		}
	}
}

// nodeState puts a node into a state, or has its changes fail.
func (s *scriptRacks) nodeState(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: state NODE STATE|fails|works|new")
	}
	s.mu.Lock()
	r := s.racks[ts]
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.applies.fails == nil {
		r.applies.fails = map[string]bool{}
	}
	at := slices.IndexFunc(r.nodes, func(v api.NodeView) bool { return v.Name == args[0] })
	if at < 0 {
		ts.Fatalf("no node %s", args[0])
	}
	switch args[1] {
	case "fails", "works":
		r.applies.fails[args[0]] = args[1] == "fails"
	case "new":
		r.nodes[at].State, r.nodes[at].Image = "known", ""
		delete(r.configs, r.nodes[at].PrimaryMAC)
	default:
		r.nodes[at].State = args[1]
	}
}
