package cli

import (
	"context"
	"fmt"
	"strings"
)

// interrupted answers a Ctrl-C: the first asks whether to leave, the second leaves.
func (f *follower) interrupted() error {
	if f.leaving {
		return detached(f.view.ID)
	}
	f.leaving = true
	if f.io.ErrTTY { // the terminal has echoed ^C
		f.line.clear()
	}
	f.line.tell("Detach? The run goes on in the daemon; Ctrl-C again detaches.")
	if !f.canAsk() {
		f.line.tell(leftHint(f.view.ID))
		return nil
	}
	f.prompt("[d]etach, [c]ancel the run, Enter to go on: ")
	return nil
}

// left acts on what was typed after a Ctrl-C.
func (f *follower) left(answer string) error {
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "d", "detach", "y", "yes":
		return detached(f.view.ID)
	case "c", "cancel":
		f.cancelRun()
	}
	f.leaving = false
	f.tellQuestions()
	f.tellErase()
	return nil
}

// cancelRun stops the run, and goes on following it to its end.
func (f *follower) cancelRun() {
	id := f.view.ID
	f.ask.ended = true
	f.do(func(ctx context.Context) func() error {
		next, err := f.runs.CancelRun(ctx, id)
		return func() error {
			if err != nil {
				f.line.tell("The run was not cancelled: " + err.Error())
				return nil
			}
			f.line.tell("The run is being cancelled; disks that are being written are written to their end.")
			f.replace(next)
			return nil
		}
	})
}

// canAsk reports whether there is a person to ask.
func (f *follower) canAsk() bool { return f.io.CanPrompt() && !f.ask.deaf }

// prompt asks on the terminal; what is typed comes to entered.
func (f *follower) prompt(text string) {
	if f.typed == nil {
		f.typed = typedLines(f.gone, f.io.In)
	}
	f.line.ask(text)
}

// entered takes a line from the terminal. Without more the terminal gives no more lines: questions stay with the daemon.
func (f *follower) entered(line string, more bool) error {
	f.line.entered()
	if !more {
		f.ask.deaf, f.typed = true, nil
		fmt.Fprintln(f.io.Err)
		if f.leaving {
			return detached(f.view.ID)
		}
		f.ask.forget()
		f.tellQuestions()
		return nil
	}
	switch {
	case f.leaving:
		return f.left(line)
	case len(f.ask.open) == 0 && f.disksAsked() != nil:
		f.eraseAnswered(line)
	default:
		f.answered(line)
	}
	return nil
}
