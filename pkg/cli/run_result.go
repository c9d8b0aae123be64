package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

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
	if out := excludedNames(v.Nodes); len(out) > 0 {
		text += "\nexcluded: " + cutList(out)
	}
	for i := range bad[:min(manyFailures, len(bad))] {
		text += "\n" + failure(&bad[i])
	}
	if more := len(bad) - manyFailures; more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
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

func excludedNames(nodes []api.NodeView) []string {
	var out []string
	for i := range nodes {
		if nodes[i].State == stateExcluded {
			out = append(out, nodes[i].Name)
		}
	}
	return out
}
