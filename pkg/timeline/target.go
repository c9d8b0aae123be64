package timeline

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

const (
	nodesDir = "nodes"
	nodeEnd  = ".jsonl"
	runsDir  = "runs"
	runEnd   = ".log"
)

// target is a file that events go to: of all events, of a node, or of a run.
type target struct {
	file      growing
	node, run string
}

// runName is what the name of a run's log may be made of; rotated parts and foreign files have other names.
var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// targets are the files that an event goes to.
func (t *Timeline) targets(e event.Event) []target {
	out := []target{{file: t.all.file}}
	if e.Node != "" {
		if mac, err := rack.ParseMAC(e.Node); err == nil {
			out = append(out, t.nodeFile(mac.String()))
		}
	}
	if runName.MatchString(e.Run) {
		out = append(out, target{run: e.Run, file: growing{path: filepath.Join(t.cfg.Dir, runsDir, e.Run+runEnd), max: t.cfg.RunFile, keep: 1}})
	}
	return out
}

func (t *Timeline) nodeFile(mac string) target {
	return target{node: mac, file: growing{path: filepath.Join(t.cfg.Dir, nodesDir, mac+nodeEnd), max: t.cfg.NodeFile, keep: 1}}
}

// gaps count what files miss, by path.
type gaps map[string]*gap

type gap struct {
	to   target
	n    int
	last uint64 // ID of the last event that is missing
	when time.Time
}

func (g gaps) miss(to target, e event.Event) {
	m := g[to.file.path]
	if m == nil {
		m = &gap{to: to}
		g[to.file.path] = m
	}
	m.n, m.last, m.when = m.n+1, e.ID, e.Time
}

// merge adds later gaps.
func (g gaps) merge(later gaps) {
	for path, l := range later {
		if m := g[path]; m != nil {
			l.n += m.n
		}
		g[path] = l
	}
}

// event is what a file says of its gap.
func (g *gap) event() event.Event {
	return event.Event{
		ID: g.last, Time: g.when, Kind: event.Lost, Node: g.to.node, Run: g.to.run,
		Message: fmt.Sprintf("%d events before this one could not be written", g.n),
		Fields:  map[string]string{event.KeyCount: strconv.Itoa(g.n)},
	}
}

// begin makes room for a new run's log: the oldest go.
func (t *Timeline) begin(run string) {
	if t.write.runs[run] {
		return
	}
	t.write.runs[run] = true
	dir := filepath.Join(t.cfg.Dir, runsDir)
	list, err := os.ReadDir(dir)
	if err != nil {
		return // the write itself says so
	}
	type old struct {
		name string
		at   time.Time
	}
	var logs []old
	for _, d := range list {
		name, ok := strings.CutSuffix(d.Name(), runEnd)
		info, err := d.Info()
		if ok && name != run && runName.MatchString(name) && err == nil {
			logs = append(logs, old{d.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(logs, func(a, b old) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.name, a.name)) })
	for _, l := range logs[min(len(logs), t.cfg.Runs-1):] {
		for _, name := range []string{l.name, l.name + ".1"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.log.Warn("an old run's log stays", "file", name, "err", err)
			}
		}
	}
}
