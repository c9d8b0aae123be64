package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// nodePage collects the lines about one node: a title, "  Name: value" lines, and lists below a name.
type nodePage struct {
	io *stdio.Streams
	b  strings.Builder
}

// line adds a fact; an empty value is left out.
func (r *nodePage) line(name, value string) {
	if value != "" {
		const indent = 17
		fmt.Fprintf(&r.b, "  %-14s %s\n", name+":", folded(r.io, value, indent))
	}
}

// folded gives text cleaned and, on a terminal, in lines that fit behind an indent.
func folded(io *stdio.Streams, text string, indent int) string {
	return foldedIf(io.OutTTY, io, text, indent)
}

// foldedErr is folded for stderr.
func foldedErr(io *stdio.Streams, text string, indent int) string {
	return foldedIf(io.ErrTTY, io, text, indent)
}

func foldedIf(tty bool, io *stdio.Streams, text string, indent int) string {
	text = stdio.Clean(text)
	if !tty {
		return text
	}
	return strings.ReplaceAll(wrap(text, max(io.Width()-indent, minFold)), "\n", "\n"+strings.Repeat(" ", indent))
}

// minFold is the least width that a text is folded to; a narrower terminal breaks lines by itself.
const minFold = 24

// list adds lines below a name; without lines there is no name either.
func (r *nodePage) list(name string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(&r.b, "  %s:\n", name)
	for _, l := range lines {
		fmt.Fprintf(&r.b, "    %s\n", stdio.Clean(l))
	}
}

// nodeReport prints everything that is known of a node.
func nodeReport(streams *stdio.Streams, n *api.NodeView, now time.Time) error {
	r := &nodePage{io: streams}
	title := n.Where
	if title == "" {
		title = n.Name
	}
	fmt.Fprintln(&r.b, streams.Paint(stdio.Bold, stdio.Clean(title)))
	r.state(n, now)
	r.row(n)
	r.machine(n)
	r.disk(n)
	r.callback(n.Callback)
	r.timeline(n, now)
	_, err := io.WriteString(streams.Out, r.b.String())
	return err
}

func (r *nodePage) state(n *api.NodeView, now time.Time) {
	state := r.io.Paint(stateColor(n.State), stateText(n))
	if !n.Since.IsZero() {
		if !r.io.OutTTY {
			state += ", since"
		}
		state += " " + moment(r.io, now, n.Since)
	}
	fmt.Fprintf(&r.b, "  %-14s %s\n", "State:", state)
	r.line("Reason", n.Reason)
	r.line("Diagnosis", n.Diagnosis)
	if n.Deadline > 0 {
		r.line("Waits", "at most "+(time.Duration(n.Deadline)*time.Second).String()+" more")
	}
	r.line("Run", n.Run)
	if n.Tries > 1 {
		r.line("Attempt", fmt.Sprint(n.Tries))
	}
	if n.Adopted {
		r.line("Adopted", "racker did not install it")
	}
	r.line("Image", n.Image)
	if p := n.Progress; p != nil && p.Total > 0 {
		r.line("Written", fmt.Sprintf("%s of %s (%d%%), %s per second",
			bytesText(p.Done), bytesText(p.Total), percent(p), bytesText(p.BytesPerSecond)))
	}
}

func (r *nodePage) row(n *api.NodeView) {
	r.line("Type", n.Type)
	r.line("Primary MAC", n.PrimaryMAC)
	r.line("Secondary MAC", n.SecondaryMAC)
	r.line("Address", n.Address)
	if n.Management {
		return
	}
	bmc := []string{dash(n.BMCMAC)}
	if n.BMCAddress != "" {
		bmc = append(bmc, "at "+n.BMCAddress)
	}
	if n.BMCReached {
		bmc = append(bmc, "reached, power "+dash(string(n.Power)))
	} else {
		bmc = append(bmc, "not reached")
	}
	r.line("BMC", strings.Join(bmc, ", "))
	r.line("BMC says", n.BMCError)
}

func (r *nodePage) machine(n *api.NodeView) {
	if id := n.Identity; id != nil {
		r.line("Machine", strings.Join(nonEmpty(id.Vendor, id.Product), " "))
		r.line("Serial", id.Serial)
		r.line("UUID", id.UUID)
		r.line("Firmware", strings.Join(nonEmpty(id.Firmware, id.Arch), ", "))
		r.line("In-band BMC", id.BMCMAC)
		r.line("Booted from", id.BootMAC)
	}
	r.line("Clock was", n.Clock)
	if hw := n.Hardware; hw != nil {
		r.line("Hardware", fmt.Sprintf("%d CPUs, %s of memory", hw.CPUs, bytesText(hw.MemoryBytes)))
		var nics, disks []string
		for _, c := range hw.NICs {
			link := "no link"
			if c.Link {
				link = "link"
			}
			nics = append(nics, strings.Join(nonEmpty(c.Name, c.MAC, c.Driver, link), "  "))
		}
		for i := range hw.Disks {
			disks = append(disks, diskText(&hw.Disks[i]))
		}
		r.list("NICs", nics)
		r.list("Disks", disks)
	}
}

func (r *nodePage) disk(n *api.NodeView) {
	if n.Disk != nil {
		r.line("Install disk", diskText(n.Disk))
	}
	r.list("Other systems", n.OtherOS)
}

func diskText(d *api.Disk) string {
	parts := nonEmpty(d.Path, bytesText(d.Size), d.Transport, d.Model)
	for _, id := range []struct{ name, value string }{{"serial", d.Serial}, {"wwn", d.WWN}, {"by-path", d.ByPath}} {
		if id.value != "" {
			parts = append(parts, id.name+" "+id.value)
		}
	}
	if len(d.Contents) > 0 {
		parts = append(parts, "holds "+strings.Join(d.Contents, "; "))
	}
	if d.Rejected != "" {
		parts = append(parts, "never used: "+d.Rejected)
	}
	return strings.Join(parts, ", ")
}

func (r *nodePage) callback(c *api.Callback) {
	if c == nil {
		return
	}
	r.line("Host name", c.HostName)
	r.line("System", c.OS)
	r.list("Host keys", c.HostKeys)
	var units []string
	for _, u := range slices.Sorted(maps.Keys(c.Units)) {
		units = append(units, u+"  "+c.Units[u])
	}
	r.list("Units", units)
	r.line("Reported", c.Reason)
	r.list("Its log", lines(c.LogTail))
}

// timeline lists what was seen of the node, and the end of its log.
func (r *nodePage) timeline(n *api.NodeView, now time.Time) {
	if len(n.Evidence) > 0 {
		fmt.Fprintln(&r.b, "  Timeline:")
	}
	for _, e := range n.Evidence {
		head := fmt.Sprintf("    %s  %-10s ", clock(r.io, now, e.Time), stdio.Clean(e.Kind))
		fmt.Fprintln(&r.b, head+folded(r.io, e.Text, len(head)))
	}
	r.list("Log", lines(n.LogTail))
}

func lines(text string) []string {
	var out []string
	for l := range strings.Lines(text) {
		out = append(out, strings.TrimRight(l, "\r\n"))
	}
	return out
}

func nonEmpty(words ...string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}
