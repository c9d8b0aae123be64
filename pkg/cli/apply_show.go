package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// butaneDiff is the unified diff of a node's Butane sources, from what is on it to what is wanted.
func butaneDiff(from, to *api.NodeConfig) string {
	texts := func(c *api.NodeConfig) map[string]string {
		out := map[string]string{}
		if c != nil {
			for _, s := range c.Butane {
				out[s.Name] = withoutHead(s.Butane)
			}
		}
		return out
	}
	before, after := texts(from), texts(to)
	var b strings.Builder
	names := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		b.Write(diff.Diff("applied/"+name, []byte(before[name]), "wanted/"+name, []byte(after[name])))
	}
	return b.String()
}

// withoutHead leaves out what racker says of its own file: the digest in it changes with every line.
func withoutHead(text string) string {
	if !intact([]byte(text)) {
		return text
	}
	_, rest, _ := strings.Cut(text, "\n")
	_, rest, _ = strings.Cut(rest, "\n")
	return rest
}

// print shows the plan.
func (p *applyPlan) print(io *stdio.Streams) error {
	for _, w := range p.warnings {
		if err := io.Outf("%s %s\n", io.Paint(stdio.Warn, "warning:"), stdio.Clean(w)); err != nil {
			return err
		}
	}
	for _, n := range p.nodes {
		if n.Action == applyUnchanged && len(n.Warnings) == 0 {
			continue
		}
		if err := n.print(io); err != nil {
			return err
		}
	}
	return io.Outf("%s\n", p.summary())
}

// summary counts what the plan does.
func (p *applyPlan) summary() string {
	counts := map[string]int{}
	for _, n := range p.nodes {
		key := n.Action
		if n.Action == applyChange {
			key = n.Cost
		}
		counts[key]++
	}
	var parts []string
	for _, key := range []string{api.CostNothing, api.CostLive, api.CostReboot, api.CostWipeRoot, api.CostReinstall, applyInstall, applyBlocked,
		applyIgnored, applyLeftOut, applyUnchanged} {
		if counts[key] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[key], key))
		}
	}
	if !p.any() {
		text := "Nothing to do: "
		if len(parts) == 0 {
			return text + "there is no node"
		}
		return text + strings.Join(parts, ", ")
	}
	return "Plan: " + strings.Join(parts, ", ")
}

// costColor is how loud a cost is shown.
func costColor(cost string) stdio.Color {
	switch cost {
	case api.CostReboot:
		return stdio.Warn
	case api.CostWipeRoot, api.CostReinstall:
		return stdio.Bad
	}
	return stdio.Good
}

func (n *applyNode) headline(io *stdio.Streams) string {
	where := stdio.Clean(n.where())
	switch n.Action {
	case applyChange:
		text := where + ": " + io.Paint(costColor(n.Cost), n.Cost)
		switch n.Cost {
		case api.CostWipeRoot:
			text += "; its root file system is " + io.Paint(stdio.Bad, "ERASED")
		case api.CostReinstall:
			text += "; its install disk (" + stdio.Clean(rowDisk(n.Disks)) + ") is " + io.Paint(stdio.Bad, "ERASED")
		}
		return text
	case applyInstall:
		return where + ": install; its install disk (" + stdio.Clean(rowDisk(n.Disks)) + ") is " + io.Paint(stdio.Bad, "ERASED")
	case applyBlocked:
		return where + ": " + io.Paint(stdio.Bad, "blocked") + ", " + stdio.Clean(n.Reason)
	case applyUnchanged:
		return where + ": unchanged"
	}
	return where + ": " + stdio.Clean(n.Reason)
}

func (n *applyNode) print(io *stdio.Streams) error {
	var b strings.Builder
	const indent = 4
	b.WriteString(n.headline(io) + "\n")
	for _, ch := range n.Changes {
		text := ch.What
		if ch.Why != "" {
			text += ": " + ch.Why
		}
		b.WriteString("  " + io.Paint(costColor(ch.Cost), fmt.Sprintf("%-9s", ch.Cost)) + " " + folded(io, text, indent+8) + "\n")
	}
	for _, w := range rowWarnings(io, n.Disks) {
		b.WriteString("  " + io.Paint(stdio.Warn, "warning:") + " " + folded(io, w, indent) + "\n")
	}
	if len(n.Erases) > 0 {
		b.WriteString("  " + folded(io, "Ignition also erases "+strings.Join(n.Erases, ", "), indent) + "\n")
	}
	for _, w := range n.Warnings {
		b.WriteString("  " + io.Paint(stdio.Warn, "warning:") + " " + folded(io, w, indent) + "\n")
	}
	if n.Action == applyChange || n.Action == applyBlocked || n.Action == applyIgnored {
		b.WriteString(paintDiff(io, n.Diff))
	}
	return io.Outf("%s", b.String())
}

// paintDiff indents a diff, and colours it on a terminal.
func paintDiff(io *stdio.Streams, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = stdio.Clean(strings.TrimRight(line, "\n"))
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "--- "):
			continue // the name is in the next
		case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "@@"):
			line = io.Paint(stdio.Faint, line)
		case strings.HasPrefix(line, "+"):
			line = io.Paint(stdio.Good, line)
		case strings.HasPrefix(line, "-"):
			line = io.Paint(stdio.Bad, line)
		}
		b.WriteString("    " + line + "\n")
	}
	return b.String()
}
