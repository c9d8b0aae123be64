package cli

import (
	"cmp"
	"fmt"
	"strings"
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
		t.Row(n.Name, n.PrimaryMAC, bmc, dash(string(n.Power)), stateText(n), moment(io, now, n.Since), dash(n.Address), dash(cmp.Or(n.Reason, n.Diagnosis, n.BMCError)))
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

// troubles lists what failed and what is stuck, each with why and with the next command, below the table.
func troubles(io *stdio.Streams, nodes []api.NodeView) error {
	var failed, stuck []string
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.State == stateFailed:
			failed = append(failed, troubleText(io, n, failure(n)))
		case n.Diagnosis != "":
			stuck = append(stuck, troubleText(io, n, cmp.Or(n.Where, n.Name)+": "+stateText(n)))
		}
	}
	for _, l := range []struct {
		title string
		texts []string
	}{{"Failing", failed}, {"Stuck", stuck}} {
		if len(l.texts) == 0 {
			continue
		}
		shown := l.texts[:min(len(l.texts), maxTroubles)]
		if err := io.Outf("\n%s:\n%s", l.title, strings.Join(shown, "")); err != nil {
			return err
		}
		if more := len(l.texts) - len(shown); more > 0 {
			if err := io.Outf("  and %d more\n", more); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxTroubles is how many nodes each list of troubles has.
const maxTroubles = 50

// troubleText is one node's lines: what, the diagnosis unless it says the same, and the next command.
func troubleText(io *stdio.Streams, n *api.NodeView, what string) string {
	const indent = 4
	text := "  " + folded(io, what, indent) + "\n"
	if n.Diagnosis != "" && n.Diagnosis != n.Reason {
		text += "    " + folded(io, n.Diagnosis, indent) + "\n"
	}
	return text + "    racker node show " + stdio.Clean(n.Name) + "\n"
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
