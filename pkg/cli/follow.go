package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

const (
	// followPause is how often a run is looked at: the answer has every node of it.
	followPause = time.Second
	// daemonPatience is how long a follower waits for a daemon that is being restarted or updated.
	daemonPatience = 2 * time.Minute
)

// runKeeper is what the follower of a run needs.
type runKeeper interface {
	runGetter
	runCanceller
	Answer(ctx context.Context, run string, a api.Answer) (api.RunView, error)
	ConfirmErase(ctx context.Context, run string, a api.EraseAnswer) (api.RunView, error)
}

// follower shows a run on stderr until it ends. It rides out a daemon that is gone for a while, and asks what to do about
// nodes that failed. All its fields belong to the goroutine of follow.
type follower struct {
	io    *stdio.Streams
	runs  runKeeper
	now   func() time.Time
	pause time.Duration
	// take gives the channel on which each Ctrl-C comes, and its end.
	take func() (<-chan struct{}, func())
	// onFailure answers the questions of the run; "" asks on the terminal. Retries bounds it per node.
	onFailure string
	retries   int

	view    api.RunView
	line    liveLine
	typed   <-chan string // lines from the terminal, once it was asked something
	gone    <-chan struct{}
	told    progressTold
	ask     questions
	erase   erasing
	leaving bool // it was asked whether to leave
	lost    time.Time
	looking bool
	// do runs a function that waits for the daemon in a goroutine; what that gives is called by follow.
	do func(func(context.Context) func() error)
}

func newFollower(io *stdio.Streams, runs runKeeper, now func() time.Time, take func() (<-chan struct{}, func())) *follower {
	return &follower{
		io: io, runs: runs, now: now, pause: followPause, take: take, line: liveLine{io: io},
		told: newProgressTold(), ask: newQuestions(),
	}
}

// follow shows v and what becomes of it, and gives the run as it ended. When the operator leaves first, or ctx ends, the
// error has exit code 130 and says how to follow again.
func (f *follower) follow(ctx context.Context, v api.RunView) (api.RunView, error) {
	pressed, release := f.take()
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer f.line.clear()
	done := make(chan func() error)
	f.gone, f.do = ctx.Done(), func(fn func(context.Context) func() error) {
		wg.Go(func() {
			apply := fn(ctx)
			select {
			case done <- apply:
			case <-ctx.Done():
			}
		})
	}
	tick := time.NewTicker(f.pause)
	defer tick.Stop()
	f.view = v
	for f.show(); f.view.State == runRunning; {
		if err := f.nobody(); err != nil {
			return f.view, err
		}
		var err error
		select {
		case <-ctx.Done():
			return f.view, detached(f.view.ID)
		case <-tick.C:
			f.look()
		case apply := <-done:
			err = apply()
		case <-pressed:
			err = f.interrupted()
		case line, more := <-f.typed:
			err = f.entered(line, more)
		}
		if err != nil {
			return f.view, err
		}
	}
	return f.view, nil
}

// look asks for the run, once at a time.
func (f *follower) look() {
	if f.looking {
		return
	}
	f.looking = true
	id := f.view.ID
	f.do(func(ctx context.Context) func() error {
		next, err := f.runs.Run(ctx, id)
		return func() error {
			f.looking = false
			if err = f.weather(err); err != nil || !f.lost.IsZero() {
				return err
			}
			f.replace(next)
			return nil
		}
	})
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

// replace takes a newer view of the run.
func (f *follower) replace(v api.RunView) {
	f.view = v
	f.show()
}

// show tells what has changed, and asks what is to be asked.
func (f *follower) show() {
	f.tellProgress()
	f.tellQuestions()
	f.tellErase()
}

// detached is the end of following, not of the run.
func detached(id string) error {
	return withHint(withCode(codeInterrupted, fmt.Errorf("left run %s, which goes on", id)), leftHint(id))
}

// runWord is the ID of a run in a command to type, RUN for several.
func runWord(id string) string {
	if strings.Contains(id, " ") {
		return "RUN"
	}
	return id
}

// leftHint says what to do with a run that goes on; a group of runs has several IDs.
func leftHint(id string) string {
	if strings.Contains(id, " ") {
		return "racker run list shows them, racker run wait RUN follows one"
	}
	return fmt.Sprintf("racker run wait %s follows it again, racker run cancel %s stops it", id, id)
}
