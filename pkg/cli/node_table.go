package cli

import (
	"cmp"
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// Words of the state machine that the command line treats apart. They are part of the API.
const (
	stateKnown      = "known"
	stateReady      = "ready"
	stateFailed     = "failed"
	stateExcluded   = "excluded"
	stateManagement = "management"
)

// nodeTable prints a row per node. On a narrow terminal the reasons go first: failures are listed below the table.
func nodeTable(io *stdio.Streams, nodes []api.NodeView, now time.Time) error {
	t := io.Table("name", "mac", "bmc", "power", "state", "since", "address", "reason").Spare(7, 6, 5, 1)
	for i := range nodes {
		n := &nodes[i]
		bmc := yesNo(n.BMCReached)
		if n.Management {
			bmc = "-"
		}
		t.Row(n.Name, n.PrimaryMAC, bmc, dash(string(n.Power)), stateText(n), moment(io, now, n.Since), dash(n.Address), dash(cmp.Or(n.Reason, n.BMCError)))
		t.Color(4, stateColor(n.State))
		if bmc == "no" {
			t.Color(2, stdio.Bad)
		}
	}
	return t.Flush()
}

// stateText adds how far a write is, where a failed node failed, and that a node is held in the microkernel.
func stateText(n *api.NodeView) string {
	switch p := n.Progress; {
	case n.State == stateFailed && n.Step != "":
		return n.State + " (" + n.Step + ")"
	case n.Held:
		return n.State + " (held)"
	case p != nil && p.Total > 0 && p.Done < p.Total && n.State == "installing":
		return fmt.Sprintf("%s %d%%", n.State, percent(p))
	}
	return n.State
}

func percent(p *api.Progress) int64 {
	if p.Total <= 0 {
		return 0
	}
	return min(100, p.Done*100/p.Total)
}

func stateColor(state string) stdio.Color {
	switch state {
	case stateReady:
		return stdio.Good
	case stateFailed:
		return stdio.Bad
	case stateExcluded, stateManagement:
		return stdio.Faint
	}
	return ""
}

// failing gives the nodes that failed.
func failing(nodes []api.NodeView) []api.NodeView {
	var out []api.NodeView
	for _, n := range nodes {
		if n.State == stateFailed {
			out = append(out, n)
		}
	}
	return out
}

// failures lists what failed, in one sentence each, with the next command.
func failures(io *stdio.Streams, nodes []api.NodeView) error {
	for i, n := range failing(nodes) {
		if i == 0 {
			if err := io.Outf("\nFailing:\n"); err != nil {
				return err
			}
		}
		if err := io.Outf("  %s\n    racker node show %s\n", stdio.Clean(failure(&n)), stdio.Clean(n.Name)); err != nil {
			return err
		}
	}
	return nil
}

// failure says in one sentence which node failed, where it stands, at what and why.
func failure(n *api.NodeView) string {
	where := n.Where
	if where == "" {
		where = n.Name
	}
	text := where + ": "
	if n.Step != "" {
		text += n.Step + ": "
	}
	if n.Reason == "" {
		return text + "no reason is known"
	}
	return text + n.Reason
}
