package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// answers gives one answer after the other; the last stays.
type answers struct {
	views []api.RunView
	errs  []error
	asked func(n int)
	n     int
}

func (a *answers) Answer(ctx context.Context, run string, _ api.Answer) (api.RunView, error) {
	return a.Run(ctx, run)
}

func (a *answers) ConfirmErase(ctx context.Context, run string, _ api.EraseAnswer) (api.RunView, error) {
	return a.Run(ctx, run)
}

func (a *answers) CancelRun(ctx context.Context, run string) (api.RunView, error) {
	return a.Run(ctx, run)
}

func (a *answers) Run(ctx context.Context, _ string) (api.RunView, error) {
	i := min(a.n, len(a.views)-1)
	a.n++
	if a.asked != nil {
		a.asked(a.n)
	}
	if ctx.Err() != nil {
		return api.RunView{}, ctx.Err()
	}
	if a.errs != nil && a.errs[i] != nil {
		return api.RunView{}, a.errs[i]
	}
	return a.views[i], nil
}

// noInterrupts is a terminal on which nobody presses Ctrl-C.
func noInterrupts() (<-chan struct{}, func()) { return nil, func() {} }

func testFollower(io *stdio.Streams, runs runKeeper) *follower {
	at := testTime()
	f := newFollower(io, runs, func() time.Time { return at }, noInterrupts)
	f.pause = time.Microsecond
	return f
}

func TestFollowTerminal(t *testing.T) {
	t.Parallel()
	views := scenarios()["fails"].runs
	middle := testRun(runRunning, 0, [3]int{3, 1, 0}, [3]string{stageDone, "running", "running"},
		testNode(1, stateReady), with(testNode(2, "installing"), func(n *api.NodeView) { n.Progress = &api.Progress{Done: 1, Total: 4} }),
		failedNode(3))
	io, _, out, errOut := stdio.Test()
	io.ErrTTY = true
	v, err := testFollower(io, &answers{views: []api.RunView{views[0], middle, middle, views[1]}}).follow(t.Context(), views[0])
	if err != nil || v.State != runFailed {
		t.Fatalf("ended as %s with %v", v.State, err)
	}
	want := strings.Join([]string{
		"\r\x1b[KChecking BMC connectivity (0/3)  node-1 known, node-2 known, node-3 known, 0s",
		"\r\x1b[K\x1b[31m×\x1b[0m node-3 (U3, serial S3): installing: chunk 7: wrong checksum\n",
		"Checking BMC connectivity (3/3) ... \x1b[32m✓ done\x1b[0m\n",
		"\r\x1b[KOS installation via PXE (1/3)  node-2 installing 25%, 0s",
		"\r\x1b[K\x1b[31m×\x1b[0m node-2 (U2, serial S2): installing: chunk 7: wrong checksum\n",
		"OS installation via PXE (2/3) ... \x1b[31m× failed\x1b[0m\n",
		"OS bring-up (2/3) ... \x1b[31m× failed\x1b[0m\n",
	}, "")
	if d := cmp.Diff(want, errOut.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if out.Len() > 0 {
		t.Errorf("progress came on stdout: %q", out)
	}
}

// A failure that a retry repeats for another reason is told again; for the same reason it is not.
func TestFollowRetries(t *testing.T) {
	t.Parallel()
	failed := func(reason string) api.RunView {
		return testRun(runRunning, 0, [3]int{1, 0, 0}, [3]string{"running", stageWaiting, stageWaiting},
			with(failedNode(1), func(n *api.NodeView) { n.Reason = reason }))
	}
	end := testRun(runDone, 0, [3]int{3, 3, 3}, [3]string{stageDone, stageDone, stageDone}, readyNodes()...)
	io, _, _, errOut := stdio.Test()
	_, err := testFollower(io, &answers{views: []api.RunView{failed("one"), failed("one"), failed("two"), end}}).follow(t.Context(), failed("one"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(errOut.String(), "× node-1"); got != 2 {
		t.Errorf("%d failures were told, want 2:\n%s", got, errOut)
	}
}

// The daemon may be restarted, or updated, under a run.
func TestFollowRidesOutTheDaemon(t *testing.T) {
	t.Parallel()
	views := scenarios()["success"].runs
	_, gone := api.NewClient("/nowhere/racker.sock").Run(t.Context(), "run-1")
	refused := &api.Error{Message: "no such run", Code: codeUsage}
	tests := map[string]struct {
		errs []error
		tick time.Duration // how far the clock goes with each look
		want error
	}{
		"for a while": {errs: []error{gone, gone, nil}, tick: time.Second},
		"for good":    {errs: []error{gone, gone, gone}, tick: daemonPatience, want: gone},
		"refused":     {errs: []error{refused, nil, nil}, tick: time.Second, want: refused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			io, _, _, errOut := stdio.Test()
			f := testFollower(io, &answers{views: []api.RunView{views[1], views[1], views[2]}, errs: tt.errs})
			at := testTime()
			f.now = func() time.Time { at = at.Add(tt.tick); return at }
			v, err := f.follow(t.Context(), views[0])
			if tt.want != nil {
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				return
			}
			if err != nil || v.State != runDone {
				t.Errorf("ended as %s with %v", v.State, err)
			}
			if got := strings.Count(errOut.String(), "Waiting for the daemon\n"); got != 1 {
				t.Errorf("waiting was told %d times:\n%s", got, errOut)
			}
		})
	}
}

// Ctrl-C leaves the run to the daemon.
func TestFollowDetaches(t *testing.T) {
	t.Parallel()
	running := scenarios()["endless"].runs
	for name, cancelAt := range map[string]int{"before the first look": 0, "in a look": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if cancelAt == 0 {
				cancel()
			}
			io, _, _, _ := stdio.Test()
			_, err := testFollower(io, &answers{views: running, asked: func(n int) {
				if n == cancelAt {
					cancel()
				}
			}}).follow(ctx, running[0])
			if givenCode(err) != codeInterrupted {
				t.Errorf("got %v with code %d, want 130", err, givenCode(err))
			}
			if h := hints(err); len(h) != 1 || !strings.Contains(h[0], "racker run wait run-1") {
				t.Errorf("hints are %q, want how to follow again", h)
			}
		})
	}
}

func TestRunError(t *testing.T) {
	t.Parallel()
	many := testRun(runFailed, codeSomeNodes, [3]int{}, [3]string{}, failedNode(1), failedNode(2), failedNode(3), failedNode(4))
	tests := map[string]struct {
		run  api.RunView
		code int
		text string
		hint string
	}{
		"done":             {run: api.RunView{State: runDone}},
		"done for some":    {run: api.RunView{ID: "r", State: runDone, Code: 3}, code: 3, text: "run r is done, but not for every node", hint: "racker run show r"},
		"without a code":   {run: api.RunView{ID: "r", State: runFailed, Reason: "why"}, code: 1, text: "run r failed: why", hint: "racker run show r"},
		"cancelled":        {run: api.RunView{ID: "r", State: runCancelled, Code: 1}, code: 1, text: "run r cancelled", hint: "racker run show r"},
		"many nodes":       {run: many, code: 3, text: "run run-1 failed", hint: "racker node show node-1, racker node show node-2, racker node show node-3"},
		"node, no reason":  {run: api.RunView{ID: "r", State: runFailed, Nodes: []api.NodeView{{Name: "n", State: stateFailed}}}, code: 1, text: "n: no reason is known", hint: "racker node show n"},
		"code but no node": {run: api.RunView{ID: "r", State: runFailed, Code: 6}, code: 6, text: "run r failed", hint: "racker run show r"},
	}
	for name, tt := range tests {
		err := runError(&tt.run)
		if tt.code == 0 {
			if err != nil {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err == nil || givenCode(err) != tt.code || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v with code %d, want %q with code %d", name, err, givenCode(err), tt.text, tt.code)
			continue
		}
		if d := cmp.Diff([]string{tt.hint}, hints(err)); d != "" {
			t.Errorf("%s: hints (-want +got):\n%s", name, d)
		}
	}
}
