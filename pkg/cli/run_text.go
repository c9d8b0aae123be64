package cli

import (
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// runStateText adds what a run waits for, and that it had nothing to do.
func runStateText(v *api.RunView) string {
	switch n := len(v.Questions); {
	case v.State == runDone && !v.Changed:
		return v.State + ", nothing changed"
	case v.State == runRunning && v.Erase != nil && v.Erase.Open && n == 0:
		return v.State + ", waits for disks to be confirmed"
	case v.State != runRunning || n == 0:
		return v.State
	case n == 1:
		return v.State + ", 1 question"
	default:
		return fmt.Sprintf("%s, %d questions", v.State, n)
	}
}

// runRules says by which rules a run goes, one line for each that was set.
func runRules(r *api.RunRequest, io *stdio.Streams, now time.Time) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch r.OnFailure {
	case "":
	case api.OnFailureRetry:
		add("On failure: retry, at most %d times", r.Retries)
	case api.OnFailureExclude:
		add("On failure: exclude, after %d retries", r.Retries)
	default:
		add("On failure: %s", stdio.Clean(r.OnFailure))
	}
	if r.Canary != api.CanaryAuto {
		add("Canary: %s", stdio.Clean(r.Canary))
	}
	if r.StopAt != "" {
		add("Stops at: %s, before the first write", stdio.Clean(r.StopAt))
	}
	if !r.NotAfter.IsZero() {
		add("Starts no server after: %s", clock(io, now, r.NotAfter))
	}
	if r.MinReady > 0 {
		add("Enough: %d ready servers", r.MinReady)
	}
	return out
}

// clock shows a time of day on a terminal, with the day unless it is today; RFC 3339 in a pipe.
func clock(io *stdio.Streams, now, t time.Time) string {
	if !io.OutTTY {
		return t.UTC().Format(time.RFC3339)
	}
	return wallClock(now, t)
}

// wallClock is the time of day where now is, with the day unless it is the same.
func wallClock(now, t time.Time) string {
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// heldText names the nodes that wait in the microkernel as their run was told, "" for none.
func heldText(nodes []api.NodeView) string {
	var held []string
	for i := range nodes {
		if nodes[i].Held {
			held = append(held, nodes[i].Name)
		}
	}
	if len(held) == 0 {
		return ""
	}
	return "Held in the microkernel, nothing is written: " + cutList(held) + "; bootstrap without --stop-at goes on"
}

// runResult prints a row per node of a run, who was left out, who is held, and what it asks.
func runResult(io *stdio.Streams, v *api.RunView, now time.Time) error {
	if err := nodeTable(io, v.Nodes, now); err != nil {
		return err
	}
	for _, s := range v.Skipped {
		if err := io.Outf("Left out: %s\n", stdio.Clean(s)); err != nil {
			return err
		}
	}
	if text := heldText(v.Nodes); text != "" {
		if err := io.Outf("%s\n", folded(io, text, 2)); err != nil {
			return err
		}
	}
	for i := range v.Questions {
		q := &v.Questions[i]
		if err := io.Outf("Waits for an answer: %s: %s: %s\n", stdio.Clean(q.Where), stdio.Clean(q.Step), stdio.Clean(q.Reason)); err != nil {
			return err
		}
	}
	if len(v.Questions) > 0 && v.State == runRunning {
		return io.Outf("  racker run wait %s\n", v.ID)
	}
	return nil
}
