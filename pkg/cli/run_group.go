package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// runGroup lets a follower see several runs as one; it is a runKeeper and may be used concurrently. One request per run
// is made at a look, so it is for the runs of a few nodes.
type runGroup struct {
	runs runKeeper
	ids  []string

	mu   sync.Mutex
	last map[string]api.RunView // runs that are over are not asked for again
}

// groupRuns gives the runs as one view, and who keeps it. A single run stays as it is.
func groupRuns(runs runKeeper, views []api.RunView) (runKeeper, api.RunView) {
	if len(views) == 1 {
		return runs, views[0]
	}
	g := &runGroup{runs: runs, last: map[string]api.RunView{}}
	for _, v := range views {
		g.ids = append(g.ids, v.ID)
		g.last[v.ID] = v
	}
	return g, g.merged()
}

// each calls do for every run that is not over and keeps what it gives.
func (g *runGroup) each(do func(api.RunView) (api.RunView, error)) (api.RunView, error) {
	var errs []error
	for _, id := range g.ids {
		g.mu.Lock()
		v := g.last[id]
		g.mu.Unlock()
		if v.State != runRunning {
			continue
		}
		v, err := do(v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g.mu.Lock()
		g.last[id] = v
		g.mu.Unlock()
	}
	return g.merged(), errors.Join(errs...)
}

// Run looks at all runs of the group.
func (g *runGroup) Run(ctx context.Context, _ string) (api.RunView, error) {
	return g.each(func(v api.RunView) (api.RunView, error) { return g.runs.Run(ctx, v.ID) })
}

// Answer answers the question about a node in the run that asks it; without a node those of all runs.
func (g *runGroup) Answer(ctx context.Context, _ string, a api.Answer) (api.RunView, error) {
	return g.each(func(v api.RunView) (api.RunView, error) {
		if !slices.ContainsFunc(v.Questions, func(q api.Question) bool { return a.Node == "" || q.Node == a.Node }) {
			return v, nil
		}
		return g.runs.Answer(ctx, v.ID, a)
	})
}

// ConfirmErase confirms the table of all runs, each by its own.
func (g *runGroup) ConfirmErase(ctx context.Context, _ string, a api.EraseAnswer) (api.RunView, error) {
	if t := g.merged().Erase; t == nil || t.Digest != a.Digest {
		return api.RunView{}, &api.Error{Message: "the disks are not those of the table that was confirmed", Code: codeLocked}
	}
	return g.each(func(v api.RunView) (api.RunView, error) {
		if v.Erase == nil || !v.Erase.Open {
			return v, nil
		}
		own := api.EraseAnswer{Digest: v.Erase.Digest}
		for _, mac := range a.Exclude {
			if slices.ContainsFunc(v.Erase.Rows, func(r api.EraseRow) bool { return r.Node == mac }) {
				own.Exclude = append(own.Exclude, mac)
			}
		}
		return g.runs.ConfirmErase(ctx, v.ID, own)
	})
}

// mergeErase adds the open table of one run to that of others.
func mergeErase(all, one *api.EraseView) *api.EraseView {
	if one == nil || !one.Open {
		return all
	}
	if all == nil {
		all = &api.EraseView{Open: true}
	}
	all.Rows = append(all.Rows, one.Rows...)
	all.Digest = api.EraseDigest(all.Rows)
	return all
}

// CancelRun stops all runs of the group that are not over.
func (g *runGroup) CancelRun(ctx context.Context, _ string) (api.RunView, error) {
	return g.each(func(v api.RunView) (api.RunView, error) { return g.runs.CancelRun(ctx, v.ID) })
}

// merged adds the runs up: running while one is, else as the worst of them ended.
func (g *runGroup) merged() api.RunView {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := api.RunView{ID: strings.Join(g.ids, " "), State: runDone}
	for i, id := range g.ids {
		v := g.last[id]
		if i == 0 || v.Began.Before(all.Began) {
			all.Began = v.Began
		}
		all.Changed = all.Changed || v.Changed
		all.Image = v.Image
		all.Nodes = append(all.Nodes, v.Nodes...)
		all.Questions = append(all.Questions, v.Questions...)
		if v.Erase != nil { // a run that installs nothing says nothing of disks
			all.Erase, all.Request.Erase = mergeErase(all.Erase, v.Erase), v.Request.Erase
		}
		all.Skipped = append(all.Skipped, v.Skipped...)
		all.Reason = joinText(all.Reason, v.Reason)
		all.Code = groupCode(i, all.Code, v.Code)
		if all.State != runRunning && v.State != runDone {
			all.State = v.State
		}
		for j, s := range v.Stages {
			if j == len(all.Stages) {
				all.Stages = append(all.Stages, s)
				continue
			}
			all.Stages[j] = addStage(all.Stages[j], s)
		}
	}
	return all
}

// groupCode is that of all runs where they agree, else "some nodes failed".
func groupCode(before, code, next int) int {
	if before == 0 || code == next {
		return next
	}
	return codeSomeNodes
}

func joinText(a, b string) string {
	if a == "" || b == "" || a == b {
		return a + strings.TrimPrefix(b, a)
	}
	return a + "; " + b
}

// addStage adds one run's stage to that of others: it is over when it is over in all of them.
func addStage(a, b api.Stage) api.Stage {
	a.Done, a.Total = a.Done+b.Done, a.Total+b.Total
	over := func(s string) bool { return s == stageDone || s == stageFailed }
	switch {
	case a.State == b.State:
	case over(a.State) && over(b.State):
		a.State = stageFailed
	default:
		a.State = stageRunning
	}
	return a
}

// printDetached names runs that the daemon goes on with, on stdout.
func printDetached(io *stdio.Streams, views []api.RunView, asJSON bool) error {
	var ids []string
	for _, v := range views {
		ids = append(ids, v.ID)
	}
	fmt.Fprintf(io.Err, "The daemon goes on; racker run wait %s follows it\n", ids[0])
	switch {
	case asJSON && len(views) == 1:
		return io.JSON(views[0])
	case asJSON:
		return io.JSON(views)
	}
	return io.Outf("%s\n", strings.Join(ids, "\n"))
}
