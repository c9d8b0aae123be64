package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// testReprovision is a reprovision of two nodes; at a terminal answer is typed.
func testReprovision(t *testing.T, tty bool, answer string) (*nodeReprovisionOptions, *testRack, interface{ String() string }) {
	t.Helper()
	r := scenarios()["orders"]
	r.nodes[1] = with(fullNode(), func(n *api.NodeView) { n.Run = "" })
	r.images = []api.ImageView{{ID: "abc", Name: "flatcar"}}
	streams, in, _, errOut := stdio.Test()
	in.WriteString(answer)
	streams.InTTY, streams.ErrTTY = tty, tty
	if err := streams.SetColor(stdio.ColorNever); err != nil {
		t.Fatal(err)
	}
	c := testClient(t, r)
	o := &nodeReprovisionOptions{Nodes: func() (reprovisioner, error) { return c, nil }, OnFailure: api.OnFailureCancel, Retries: 3}
	o.IO, o.Now, o.Take, o.json, o.Detach = streams, testTime, noInterrupts, func() bool { return false }, true
	o.Words = []string{"node-1", "node-2"}
	return o, r, errOut
}

// No wipe without the name of the node typed, or both flags.
func TestReprovisionAsks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tty       bool
		answer    string
		yes, wipe bool
		code      int
	}{
		"both names":                  {tty: true, answer: "node-1\nnode-2\n"},
		"one name":                    {tty: true, answer: "node-1\nyes\n", code: codeNotConfirmed},
		"yes is no name":              {tty: true, answer: "yes\n", code: codeNotConfirmed},
		"nothing":                     {tty: true, code: codeNotConfirmed},
		"--yes alone still asks":      {tty: true, yes: true, answer: "no\n", code: codeNotConfirmed},
		"both flags":                  {tty: true, yes: true, wipe: true},
		"no terminal":                 {code: codeNotConfirmed},
		"no terminal, --yes":          {yes: true, code: codeNotConfirmed},
		"no terminal, --wipe":         {wipe: true, code: codeNotConfirmed},
		"no terminal, --yes --wipe":   {yes: true, wipe: true},
		"no terminal, the name typed": {answer: "node-1\nnode-2\n", code: codeNotConfirmed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, r, errOut := testReprovision(t, tt.tty, tt.answer)
			o.Yes, o.Wipe, o.Image = tt.yes, tt.wipe, "flatcar"
			err := o.run(t.Context())
			if givenCode(err) != tt.code {
				t.Fatalf("got %v with code %d, want code %d\n%s", err, givenCode(err), tt.code, errOut)
			}
			var want []string
			if tt.code == 0 {
				allowed := []string{" exact", " exact"} // nobody looked
				if !tt.yes || !tt.wipe {
					allowed = []string{allows("", testRow(1, 1).Digest), allows("", testRow(2, 1).Digest)}
				}
				want = []string{`reprovision "abc" cancel 3 0` + allowed[0] + " node-1", `reprovision "abc" cancel 3 0` + allowed[1] + " node-2"}
			}
			if d := cmp.Diff(want, r.orders); d != "" {
				t.Errorf("orders (-want +got):\n%s", d)
			}
			if shown := strings.Contains(errOut.String(), "Install disk, ERASED:\n    /dev/vda, 3.7 GiB, virtio, QEMU, serial D1"); shown != (tt.tty || tt.code == 0) {
				t.Errorf("the disk is shown: %v\n%s", shown, errOut)
			}
		})
	}
}

func TestReprovisionRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*nodeReprovisionOptions)
		code   int
		text   string
	}{
		"no such image":   {func(o *nodeReprovisionOptions) { o.Image = "other" }, codeUsage, "no such image was added"},
		"ask in a script": {func(o *nodeReprovisionOptions) { o.OnFailure = "" }, codeNotConfirmed, "no terminal to ask on when a server fails"},
		"wrong policy":    {func(o *nodeReprovisionOptions) { o.OnFailure = "maybe" }, codeUsage, "want ask, retry, exclude or cancel"},
		"retries":         {func(o *nodeReprovisionOptions) { o.Retries = 101 }, codeUsage, "want 0 to 100"},
		"wait and detach": {func(o *nodeReprovisionOptions) { o.Wait = true }, codeUsage, "exclude each other"},
		"management":      {func(o *nodeReprovisionOptions) { o.Words = []string{"management"} }, codeUsage, "no order may touch"},
		"no such node":    {func(o *nodeReprovisionOptions) { o.Words = []string{"node-1", "node-9"} }, codeUsage, "node-9"},
		"no such key":     {func(o *nodeReprovisionOptions) { o.SSHKeys = []string{"/nowhere"} }, 0, "/nowhere"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, r, _ := testReprovision(t, false, "")
			o.Yes, o.Wipe = true, true
			tt.change(o)
			err := o.run(t.Context())
			if err == nil || givenCode(err) != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v with code %d, want %q with code %d", err, givenCode(err), tt.text, tt.code)
			}
			if len(r.orders) > 0 {
				t.Errorf("ordered %q", r.orders)
			}
		})
	}
}

// Runs of several nodes are followed as one, and answered each.
func TestRunGroup(t *testing.T) {
	t.Parallel()
	run := func(id, state string, code int, n api.NodeView, qs ...api.Question) api.RunView {
		v := testRun(state, code, [3]int{1, 1, 0}, [3]string{stageDone, stageRunning, stageWaiting}, n)
		v.ID, v.Questions = id, qs
		return v
	}
	f := &fewRuns{views: map[string]api.RunView{
		"run-1": run("run-1", runRunning, 0, testNode(1, "installing")),
		"run-2": run("run-2", runRunning, 0, failedNode(2), testQuestion(2)),
	}}
	keeper, v := groupRuns(f, []api.RunView{f.views["run-1"], f.views["run-2"]})
	if v.State != runRunning || len(v.Nodes) != 2 || len(v.Questions) != 1 || v.Stages[0].Total != 6 || v.Stages[0].State != stageDone {
		t.Fatalf("merged to %+v", v)
	}
	if _, err := keeper.Answer(t.Context(), v.ID, api.Answer{Node: testQuestion(2).Node, Answer: api.OnFailureRetry}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"answer run-2"}, f.calls); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	f.views["run-1"] = run("run-1", runDone, 0, testNode(1, stateReady))
	f.views["run-2"] = run("run-2", runFailed, codeFailed, failedNode(2))
	v, err := keeper.Run(t.Context(), v.ID)
	if err != nil || v.State != runFailed || v.Code != codeSomeNodes {
		t.Errorf("ended as %s with code %d, %v; want failed with code 3", v.State, v.Code, err)
	}
	if strings.Contains(detached(v.ID).Error(), "run wait run-1 run-2") || strings.Contains(hints(detached(v.ID))[0], "run-1 run-2") {
		t.Errorf("the hint is no command: %q", hints(detached(v.ID)))
	}
}

// fewRuns is a daemon with some runs.
type fewRuns struct {
	views map[string]api.RunView
	calls []string
}

func (f *fewRuns) Run(_ context.Context, id string) (api.RunView, error) { return f.views[id], nil }

func (f *fewRuns) Answer(_ context.Context, id string, _ api.Answer) (api.RunView, error) {
	f.calls = append(f.calls, "answer "+id)
	return f.views[id], nil
}

func (f *fewRuns) ConfirmErase(_ context.Context, id string, a api.EraseAnswer) (api.RunView, error) {
	f.calls = append(f.calls, "erase "+id+" "+strings.Join(a.Exclude, " "))
	return f.views[id], nil
}

func (f *fewRuns) CancelRun(_ context.Context, id string) (api.RunView, error) {
	f.calls = append(f.calls, "cancel "+id)
	return f.views[id], nil
}

// TestReprovisionShowsWipes names the other disks whose signatures go, and calls none of them untouched. The disk of the last
// install, which may be another, is not shown.
func TestReprovisionShowsWipes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wipeOldOS bool
		want, not string
	}{
		"others are wiped": {true, "the signatures of /dev/vdb, 7.5 GiB, DATA, serial W1, holds ext4 data are ERASED, too", "Not touched"},
		"none is":          {false, "Not touched: /dev/vdb: Debian GNU/Linux 12", "signatures of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, r, errOut := testReprovision(t, true, "node-1\n")
			o.Words, o.WipeOldOS = []string{"node-1"}, tt.wipeOldOS
			if err := o.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(strings.Fields(errOut.String()), " ")
			if !strings.Contains(text, tt.want) || strings.Contains(text, tt.not) || strings.Contains(text, "serial disk1") {
				t.Errorf("%s", errOut)
			}
			if len(r.orders) != 1 || !strings.Contains(r.orders[0], " shown:") {
				t.Errorf("orders %q", r.orders)
			}
		})
	}
}
