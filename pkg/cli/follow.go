package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

const (
	// followPause is how often a run is looked at.
	followPause = 500 * time.Millisecond
	// daemonPatience is how long a follower waits for a daemon that is being restarted or updated.
	daemonPatience = 2 * time.Minute
)

// follower shows a run on stderr until it ends. It rides out a daemon that is gone for a while.
type follower struct {
	io    *stdio.Streams
	runs  runGetter
	now   func() time.Time
	pause time.Duration

	line   liveLine
	ended  int               // stages whose line is written for good
	stages map[int]api.Stage // as last shown, where stderr is no terminal
	told   map[string]string // failures by MAC that were told
	lost   time.Time         // since when the daemon does not answer
}

func newFollower(io *stdio.Streams, runs runGetter, now func() time.Time) *follower {
	return &follower{
		io: io, runs: runs, now: now, pause: followPause, line: liveLine{io: io},
		stages: map[int]api.Stage{}, told: map[string]string{},
	}
}

// follow shows v and what becomes of it, and gives the run as it ended. When ctx ends first, the error has exit
// code 130 and says how to follow again.
func (f *follower) follow(ctx context.Context, v api.RunView) (api.RunView, error) {
	defer f.line.clear()
	tick := time.NewTicker(f.pause)
	defer tick.Stop()
	for {
		f.show(&v)
		if v.State != runRunning {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return v, detached(v.ID)
		case <-tick.C:
		}
		next, err := f.runs.Run(ctx, v.ID)
		if ctx.Err() != nil {
			return v, detached(v.ID)
		}
		if err = f.weather(err); err != nil {
			return v, err
		}
		if f.lost.IsZero() {
			v = next
		}
	}
}

// detached is the end of following, not of the run.
func detached(id string) error {
	return withHint(withCode(codeInterrupted, fmt.Errorf("left run %s, which goes on", id)),
		fmt.Sprintf("racker run show %s, racker run wait %s or racker run cancel %s", id, id, id))
}

// weather keeps the follower alive while the daemon is away, and gives up on any other error.
func (f *follower) weather(err error) error {
	switch {
	case err == nil:
		f.lost = time.Time{}
		return nil
	case !api.Unreachable(err):
		return err
	case f.lost.IsZero():
		f.lost = f.now()
	}
	if f.now().Sub(f.lost) > daemonPatience {
		return err
	}
	f.line.show("Waiting for the daemon", f.now().Sub(f.lost).Round(time.Second).String())
	return nil
}

func (f *follower) show(v *api.RunView) {
	if f.io.ErrTTY {
		f.tellFailures(v)
		f.showTerminal(v)
		return
	}
	for i, s := range v.Stages {
		if s.State != stageWaiting && f.stages[i] != s {
			f.stages[i] = s
			fmt.Fprintln(f.io.Err, stageLine(f.io.PaintErr, s))
		}
	}
	f.tellFailures(v)
}

// showTerminal keeps one line alive: that of the first stage that is not over.
func (f *follower) showTerminal(v *api.RunView) {
	for f.ended < len(v.Stages) {
		s := v.Stages[f.ended]
		switch {
		case s.State == stageDone || s.State == stageFailed:
			f.line.end(stageLine(f.io.PaintErr, s))
			f.ended++
		case v.State != runRunning:
			f.ended++ // a stage that was never reached
		default:
			f.line.show(stageLine(f.io.PaintErr, s), f.detail(v))
			return
		}
	}
}

// detail says what the nodes are at that are not there yet.
func (f *follower) detail(v *api.RunView) string {
	var at []string
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.State != stateReady && n.State != stateFailed {
			at = append(at, n.Name+" "+stateText(n))
		}
	}
	return strings.Join(append(at, f.now().Sub(v.Began).Round(time.Second).String()), ", ")
}

// tellFailures writes a line for each node that failed, once per reason: a retry may fail otherwise.
func (f *follower) tellFailures(v *api.RunView) {
	for _, n := range failing(v.Nodes) {
		text := failure(&n)
		if f.told[n.PrimaryMAC] == text {
			continue
		}
		f.told[n.PrimaryMAC] = text
		f.line.clear()
		fmt.Fprintln(f.io.Err, f.io.PaintErr(stdio.Bad, "×")+" "+stdio.Clean(text))
	}
}

// States of a stage. They are part of the API.
const (
	stageWaiting = "waiting"
	stageDone    = "done"
	stageFailed  = "failed"
)

// stageLine gives a stage with its count, by the words that racker has always printed.
func stageLine(paint func(stdio.Color, string) string, s api.Stage) string {
	text := fmt.Sprintf("%s (%d/%d)", s.Name, s.Done, s.Total)
	switch s.State {
	case stageDone:
		return text + " ... " + paint(stdio.Good, "✓ done")
	case stageFailed:
		return text + " ... " + paint(stdio.Bad, "× failed")
	case stageWaiting:
		return text + " ... waiting"
	}
	return text
}

// finish prints the result of a run that is over and gives the error that it deserves.
func finish(io *stdio.Streams, v *api.RunView, now time.Time, asJSON bool) error {
	var err error
	if asJSON {
		err = io.JSON(v)
	} else {
		err = runResult(io, v, now)
	}
	if err != nil {
		return err
	}
	return runError(v)
}

// runError is nil for a run that did all it should. Else it names each failing node, its place and the reason, and what
// to do next.
func runError(v *api.RunView) error {
	code := v.Code
	if code == codeOK && v.State == runDone {
		return nil
	}
	if code == codeOK {
		code = codeFailed
	}
	bad := failing(v.Nodes)
	text := fmt.Sprintf("run %s %s", v.ID, v.State)
	if v.State == runDone {
		text = fmt.Sprintf("run %s is done, but not for every node", v.ID)
	}
	if v.Reason != "" {
		text += ": " + v.Reason
	}
	for i := range bad {
		text += "\n" + failure(&bad[i])
	}
	err := withCode(code, fmt.Errorf("%s", text))
	if len(bad) == 0 {
		return withHint(err, "racker run show "+v.ID)
	}
	const named = 3
	var shows []string
	for i := range bad[:min(named, len(bad))] {
		shows = append(shows, "racker node show "+bad[i].Name)
	}
	return withHint(err, strings.Join(shows, ", "))
}
