package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// runningAgainstWanted prints which OS runs on the nodes, and which nodes are wanted to run another version. Nothing is
// printed of nodes that never said what they run.
func runningAgainstWanted(io *stdio.Streams, nodes []api.NodeView) error {
	runs, behind := map[string][]string{}, []string{}
	for i := range nodes {
		n := &nodes[i]
		os := runningOS(n)
		if os == "" || n.State != stateReady {
			continue
		}
		runs[os] = append(runs[os], n.Name)
		if outdated(n) {
			behind = append(behind, fmt.Sprintf("%s runs %s, wanted %s", n.Name, os, n.WantedOS))
		}
	}
	if len(runs) == 0 {
		return nil
	}
	var lines []string
	for os, names := range runs {
		lines = append(lines, fmt.Sprintf("%s on %s", os, cutList(names)))
	}
	slices.Sort(lines)
	if err := io.Outf("\nOS: %s\n", folded(io, strings.Join(lines, "; "), 4)); err != nil || len(behind) == 0 {
		return err
	}
	return io.Outf("%s %s\n", io.Paint(stdio.Warn, "Updates wanted:"), folded(io, cutList(behind), 4))
}

// outdated reports whether a node is to run another version than it does: what it calls itself has the version as a word.
func outdated(n *api.NodeView) bool {
	if n.WantedOS == "" || n.OSVersion == n.WantedOS {
		return false
	}
	return n.OSVersion != "" || !slices.Contains(strings.FieldsFunc(n.OS, func(r rune) bool { return r == ' ' || r == '(' || r == ')' }), n.WantedOS)
}
