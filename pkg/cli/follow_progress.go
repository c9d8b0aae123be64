package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// progressTold is what a follower has written of a run.
type progressTold struct {
	ended    int               // stages whose line is written for good
	stages   map[int]api.Stage // as last shown, where stderr is no terminal
	failures map[string]string // by MAC
}

func newProgressTold() progressTold {
	return progressTold{stages: map[int]api.Stage{}, failures: map[string]string{}}
}

// plainSteps is how many lines a stage has at most where stderr is no terminal, besides its first and last.
const plainSteps = 20

// tellProgress writes the changes since the last look.
func (f *follower) tellProgress() {
	v := &f.view
	if f.io.ErrTTY {
		f.tellFailures(v)
		f.showTerminal(v)
		return
	}
	for i, s := range v.Stages {
		was := f.told.stages[i]
		step := max(1, s.Total/plainSteps)
		if s.State == stageWaiting || s.State == was.State && s.Total == was.Total && s.Done >= was.Done && s.Done < was.Done+step {
			continue
		}
		f.told.stages[i] = s
		fmt.Fprintln(f.io.Err, stageLine(f.io.PaintErr, s))
	}
	f.tellFailures(v)
}

// showTerminal keeps one line alive: that of the first stage that is not over.
func (f *follower) showTerminal(v *api.RunView) {
	for f.told.ended < len(v.Stages) {
		s := v.Stages[f.told.ended]
		switch {
		case s.State == stageDone || s.State == stageFailed:
			f.line.end(stageLine(f.io.PaintErr, s))
			f.told.ended++
		case v.State != runRunning:
			f.told.ended++ // a stage that was never reached
		default:
			f.showNodes(v, stageLine(f.io.PaintErr, s))
			return
		}
	}
}

// showNodes says what the nodes are at that are not there yet: each by name, or by their number when they are many.
func (f *follower) showNodes(v *api.RunView, stage string) {
	took := f.now().Sub(v.Began).Round(time.Second).String()
	var at []string
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.State != stateReady && n.State != stateFailed {
			at = append(at, n.Name+" "+stateText(n))
		}
	}
	text := strings.Join(append(at, took), ", ")
	if len([]rune(stage+"  "+text)) < f.io.Width() || len(v.Nodes) == 0 {
		f.line.show(stage, text)
		return
	}
	f.line.show("", countText(v.Nodes, took, f.io.Width()-1))
}

// countText counts nodes by state in at most width columns: "installing 212, agent 31, ready 640 of 1000, 2m3s". Where that
// is too long the states with the fewest nodes become "others".
func countText(nodes []api.NodeView, took string, width int) string {
	counts := map[string]int{stateReady: 0}
	for i := range nodes {
		counts[nodes[i].State]++
	}
	type count struct {
		state string
		n     int
	}
	var rest []count
	for state, n := range counts {
		if state != stateReady && state != stateFailed {
			rest = append(rest, count{state, n})
		}
	}
	slices.SortFunc(rest, func(a, b count) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.state, b.state)) })
	var end []string
	if n := counts[stateFailed]; n > 0 {
		end = append(end, fmt.Sprintf("failed %d", n))
	}
	end = append(end, fmt.Sprintf("ready %d of %d", counts[stateReady], len(nodes)), took)
	for others := 0; ; {
		var parts []string
		for _, c := range rest {
			parts = append(parts, fmt.Sprintf("%s %d", c.state, c.n))
		}
		if others > 0 {
			parts = append(parts, fmt.Sprintf("others %d", others))
		}
		text := strings.Join(append(parts, end...), ", ")
		if len(text) <= width || len(rest) == 0 {
			return text
		}
		others += rest[len(rest)-1].n
		rest = rest[:len(rest)-1]
	}
}

// manyFailures is how many failures are told one by one in one look.
const manyFailures = 10

// tellFailures writes a line for each node that failed, once per reason: a retry may fail otherwise.
func (f *follower) tellFailures(v *api.RunView) {
	told, more := 0, 0
	for _, n := range failing(v.Nodes) {
		text := failure(&n)
		if f.told.failures[n.PrimaryMAC] == text {
			continue
		}
		f.told.failures[n.PrimaryMAC] = text
		if told++; told > manyFailures {
			more++
			continue
		}
		f.line.tell(f.io.PaintErr(stdio.Bad, "×") + " " + foldedErr(f.io, text, 2))
	}
	if more > 0 {
		f.line.tell(fmt.Sprintf("%s and %d more: racker run show %s", f.io.PaintErr(stdio.Bad, "×"), more, v.ID))
	}
}
