package cli

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// asker is a daemon with one run that asks about some nodes until each has an answer.
type asker struct {
	mu      sync.Mutex
	view    api.RunView
	answers []string
	again   bool // a retry fails again
	refuse  func(a api.Answer) error
	looked  func(a *asker) // at each look, before it is answered
	erase   func(a *asker) // at each confirmation of disks, before it is looked at
}

func newAsker(asks ...int) *asker {
	v := testRun(runRunning, 0, [3]int{3, 1, 1}, [3]string{stageDone, stageRunning, stageRunning}, testNode(1, stateReady))
	for _, i := range asks {
		v.Nodes = append(v.Nodes, failedNode(i))
		v.Questions = append(v.Questions, testQuestion(i))
	}
	return &asker{view: v}
}

func (a *asker) Run(context.Context, string) (api.RunView, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.looked != nil {
		a.looked(a)
	}
	return a.copied(), nil
}

// first is the run as it is found.
func (a *asker) first() api.RunView {
	v, _ := a.Run(context.Background(), "")
	return v
}

// copied ends the run when nothing is asked any more.
func (a *asker) copied() api.RunView {
	if len(a.view.Questions) == 0 && a.view.Erase == nil {
		a.view.State = runDone
	}
	v := a.view
	v.Questions = slices.Clone(v.Questions)
	return v
}

// settle takes questions away, all for "".
func (a *asker) settle(node string) {
	a.view.Questions = slices.DeleteFunc(a.view.Questions, func(q api.Question) bool { return node == "" || q.Node == node })
}

func (a *asker) ConfirmErase(_ context.Context, _ string, e api.EraseAnswer) (api.RunView, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.erase != nil {
		a.erase(a)
	}
	if a.view.Erase == nil || a.view.Erase.Digest != e.Digest {
		return api.RunView{}, &api.Error{Message: "other disks", Code: codeLocked}
	}
	a.answers = append(a.answers, strings.TrimSpace("erase "+strings.ReplaceAll(strings.Join(e.Exclude, " "), "52:54:00:00:00:", "")))
	a.view.Erase = nil
	return a.copied(), nil
}

func (a *asker) Answer(_ context.Context, _ string, answer api.Answer) (api.RunView, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != nil {
		if err := a.refuse(answer); err != nil {
			return api.RunView{}, err
		}
	}
	a.answers = append(a.answers, strings.TrimSpace(answer.Answer+" "+strings.TrimPrefix(answer.Node, "52:54:00:00:00:")))
	q := a.view.Questions[0]
	a.settle(answer.Node)
	if a.again && answer.Answer == api.OnFailureRetry {
		q.Asked = q.Asked.Add(time.Minute)
		a.view.Questions = append(a.view.Questions, q)
	}
	return a.copied(), nil
}

func (a *asker) CancelRun(context.Context, string) (api.RunView, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers = append(a.answers, "cancelled")
	a.view.State, a.view.Questions, a.view.Erase = runCancelled, nil, nil
	return a.view, nil
}

const (
	choicePrompt = "[r]etry, [e]xclude nodes from cluster, [c]ancel: "
	leavePrompt  = "[d]etach, [c]ancel the run, Enter to go on: "
)

func terminalFollower(t *testing.T, a *asker, prompts, lines []string) (*follower, *screen) {
	t.Helper()
	s := newScreen(t)
	streams, _, _, _ := stdio.Test()
	streams.InTTY, streams.ErrTTY, streams.Err = true, true, s
	if err := streams.SetColor(stdio.ColorNever); err != nil {
		t.Fatal(err)
	}
	streams.In = &typist{s: s, prompts: prompts, lines: lines}
	return testFollower(streams, a), s
}

func TestFollowAsks(t *testing.T) {
	t.Parallel()
	two := "2 servers wait for an answer: node-2, node-3."
	tests := map[string]struct {
		asks  []int
		lines []string
		want  []string // answers
		shown []string
	}{
		"one":            {asks: []int{2}, lines: []string{"r"}, want: []string{"retry 02"}, shown: []string{"node-2 (U2, serial S2) waits for an answer; the others go on."}},
		"all at once":    {asks: []int{2, 3}, lines: []string{"e"}, want: []string{"exclude 02", "exclude 03"}, shown: []string{two}},
		"one by one":     {asks: []int{2, 3}, lines: []string{"RETRY node-3", "exclude"}, want: []string{"retry 03", "exclude 02"}, shown: []string{two, "node-2 (U2, serial S2) waits"}},
		"by other names": {asks: []int{2, 3}, lines: []string{"e 52-54-00-00-00-02, 172.24.213.13"}, want: []string{"exclude 02", "exclude 03"}},
		"nonsense first": {asks: []int{2}, lines: []string{"x", "", "r node-9", "c"}, want: []string{"cancel 02"},
			shown: []string{`"x" is no answer`, `"node-9" is not one of node-2`}},
		"many at once": {asks: []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, lines: []string{"r"}, want: []string{"retry"},
			shown: []string{"10 servers wait for an answer: node-2, node-3, node-4, node-5, node-6, node-7,\nnode-8, node-9 and 2 more."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsker(tt.asks...)
			f, s := terminalFollower(t, a, slices.Repeat([]string{choicePrompt}, len(tt.lines)), tt.lines)
			v, err := f.follow(t.Context(), a.first())
			if err != nil || v.State != runDone {
				t.Fatalf("ended as %s with %v\n%s", v.State, err, s)
			}
			if d := cmp.Diff(tt.want, a.answers); d != "" {
				t.Errorf("answers (-want +got):\n%s\n%s", d, s)
			}
			for _, want := range tt.shown {
				if !strings.Contains(s.String(), want) {
					t.Errorf("%q is not shown:\n%s", want, s)
				}
			}
		})
	}
}

// Another terminal may answer first, before this one answers or while it does.
func TestFollowAnsweredElsewhere(t *testing.T) {
	t.Parallel()
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		a := newAsker(2, 3)
		f, s := terminalFollower(t, a, []string{"node-2: answered from elsewhere"}, []string{"r"})
		first := a.first()
		a.looked = func(a *asker) { a.settle("52:54:00:00:00:02") }
		if _, err := f.follow(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"retry 03"}, a.answers); d != "" {
			t.Errorf("answers (-want +got):\n%s\n%s", d, s)
		}
	})
	t.Run("meanwhile", func(t *testing.T) {
		t.Parallel()
		a := newAsker(2)
		f, s := terminalFollower(t, a, []string{choicePrompt}, []string{"r"})
		a.refuse = func(api.Answer) error {
			a.settle("")
			return &api.Error{Message: "nobody asks that", Code: codeLocked}
		}
		if _, err := f.follow(t.Context(), a.first()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s.String(), "node-2: answered from elsewhere") {
			t.Errorf("not said:\n%s", s)
		}
	})
	t.Run("not arrived", func(t *testing.T) {
		t.Parallel()
		a := newAsker(2)
		f, s := terminalFollower(t, a, []string{choicePrompt, choicePrompt}, []string{"r", "e"})
		a.refuse = func(x api.Answer) error {
			if x.Answer == api.OnFailureRetry {
				return &api.Error{Message: "the disk is full", Code: codeFailed}
			}
			return nil
		}
		if _, err := f.follow(t.Context(), a.first()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"exclude 02"}, a.answers); d != "" || !strings.Contains(s.String(), "the answer did not arrive: the disk is full") {
			t.Errorf("answers (-want +got):\n%s\n%s", d, s)
		}
	})
}

// A terminal that gives no more lines leaves the question with the daemon.
func TestFollowTerminalGone(t *testing.T) {
	t.Parallel()
	a := newAsker(2)
	f, s := terminalFollower(t, a, nil, nil)
	f.io.In.(*typist).gone = true
	a.looked = func(a *asker) {
		if strings.Contains(s.String(), "racker run wait run-1 on a terminal") {
			a.settle("")
		}
	}
	if _, err := f.follow(t.Context(), a.first()); err != nil {
		t.Fatal(err)
	}
	if len(a.answers) > 0 {
		t.Errorf("answered %q", a.answers)
	}
}

func TestFollowPolicy(t *testing.T) {
	t.Parallel()
	a := newAsker(2)
	streams, _, _, errOut := stdio.Test()
	f := testFollower(streams, a)
	f.onFailure, f.retries = api.OnFailureRetry, 2
	a.again = true
	if _, err := f.follow(t.Context(), a.first()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"retry 02", "retry 02", "cancel 02"}, a.answers); d != "" {
		t.Errorf("answers (-want +got):\n%s\n%s", d, errOut)
	}
}

func TestFollowLeaves(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		presses int
		lines   []string
		prompts []string
		code    int
		state   string
		answers []string
	}{
		"twice":    {presses: 2, code: codeInterrupted, state: runRunning},
		"d":        {presses: 1, prompts: []string{leavePrompt}, lines: []string{"d"}, code: codeInterrupted, state: runRunning},
		"cancel":   {presses: 1, prompts: []string{leavePrompt}, lines: []string{"c"}, state: runCancelled, answers: []string{"cancelled"}},
		"go on":    {presses: 1, prompts: []string{leavePrompt, choicePrompt}, lines: []string{"", "r"}, state: runDone, answers: []string{"retry 02"}},
		"nonsense": {presses: 1, prompts: []string{leavePrompt, choicePrompt}, lines: []string{"what", "r"}, state: runDone, answers: []string{"retry 02"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsker(2)
			f, s := terminalFollower(t, a, tt.prompts, tt.lines)
			pressed := make(chan struct{})
			over := make(chan struct{})
			go func() {
				for i, after := range []string{choicePrompt, leavePrompt}[:tt.presses] {
					if !s.await(after, 1) {
						return
					}
					select {
					case pressed <- struct{}{}:
					case <-over:
						t.Errorf("press %d came after the end", i)
					}
				}
			}()
			f.take = func() (<-chan struct{}, func()) { return pressed, func() {} }
			v, err := f.follow(t.Context(), a.first())
			close(over)
			if givenCode(err) != tt.code || v.State != tt.state {
				t.Fatalf("ended as %s with %v\n%s", v.State, err, s)
			}
			if d := cmp.Diff(tt.answers, a.answers); d != "" {
				t.Errorf("answers (-want +got):\n%s\n%s", d, s)
			}
			if !strings.Contains(s.String(), "Detach? The run goes on in the daemon; Ctrl-C again detaches.") {
				t.Errorf("not asked:\n%s", s)
			}
		})
	}
}
