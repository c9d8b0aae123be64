package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// bootstrapPlan is what the operator is shown, and what the run is bound to: only these servers are named in the
// request, whatever nodes.csv says a moment later.
type bootstrapPlan struct {
	install  []api.NodeView
	running  []api.NodeView // on, and left alone
	excluded []api.NodeView
	disks    api.EraseView // of those to install
}

// plan sorts the servers. Every BMC is asked for its power state, and every word of --exclude must name one server.
func (o *bootstrapOptions) plan(ctx context.Context, d provisioner) (*bootstrapPlan, error) {
	if o.IO.ErrTTY {
		wait := liveLine{io: o.IO}
		wait.show("Asking the BMCs", "")
		defer wait.clear()
	}
	nodes, err := d.Nodes(ctx, true)
	if err != nil {
		return nil, err
	}
	out, err := excludedBy(ctx, d, nodes, strings.Fields(o.Exclude))
	if err != nil {
		return nil, err
	}
	p := &bootstrapPlan{}
	for _, n := range nodes {
		switch {
		case n.Management:
		case n.State == stateExcluded, slices.Contains(out, n.PrimaryMAC):
			p.excluded = append(p.excluded, n)
		case n.Power == api.PowerOn && !o.PowerCycleRunning && !n.Held: // an earlier run has put it into the microkernel
			p.running = append(p.running, n)
		default:
			p.install = append(p.install, n)
		}
	}
	if o.MinReady > len(p.install)+len(p.running) {
		return nil, usageError("--min-ready %d: there are %d servers", o.MinReady, len(p.install)+len(p.running))
	}
	if len(p.install) > 0 {
		return p, o.planDisks(ctx, d, p)
	}
	same, err := o.same(ctx, d, p)
	if err == nil && !same {
		err = p.nothing()
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// same reports whether every server is on and has what is ordered, so that the daemon will find nothing to do.
func (o *bootstrapOptions) same(ctx context.Context, d provisioner, p *bootstrapPlan) (bool, error) {
	if o.cluster != nil {
		return len(p.running) > 0 && o.sameConfigs(ctx, d, p.running), nil
	}
	image, err := o.image(ctx, d)
	return err == nil && p.asOrdered(image) && o.sameKeys(ctx, d, p.running), err
}

// sameKeys reports whether the runs that installed the servers gave them the SSH keys that are given here.
func (o *bootstrapOptions) sameKeys(ctx context.Context, d runGetter, nodes []api.NodeView) bool {
	seen := map[string]bool{}
	for i := range nodes {
		id := nodes[i].Run
		if seen[id] {
			continue
		}
		seen[id] = true
		if v, err := d.Run(ctx, id); err != nil || !sameWords(v.Request.SSHKeys, o.request.SSHKeys) {
			return false // a run that is forgotten cannot be compared
		}
	}
	return true
}

// asOrdered reports whether every server is on and ready with the image: the daemon, which knows more, is then asked to
// find nothing to do.
func (p *bootstrapPlan) asOrdered(image string) bool {
	return len(p.running) > 0 && !slices.ContainsFunc(p.running, func(n api.NodeView) bool {
		return n.State != stateReady || n.Image != image
	})
}

// excludedBy gives the primary MACs of the servers that the words name.
func excludedBy(ctx context.Context, d nodeGetter, nodes []api.NodeView, words []string) ([]string, error) {
	var out []string
	for _, w := range words {
		n, err := namedNode(ctx, d, nodes, w)
		if err != nil {
			return nil, fmt.Errorf("--exclude: %w", err)
		}
		out = append(out, n.PrimaryMAC)
	}
	return out, nil
}

// answersTo reports whether word names the node; MACs may be written with hyphens and in any case.
func answersTo(n *api.NodeView, word string) bool {
	w := strings.ToLower(word)
	mac := strings.ReplaceAll(w, "-", ":")
	switch {
	case w == strings.ToLower(n.Name), w == n.Address, w == n.BMCAddress:
		return w != ""
	case mac == n.PrimaryMAC, mac == n.BMCMAC, mac == n.SecondaryMAC:
		return mac != ""
	}
	return n.Identity != nil && w != "" && (w == strings.ToLower(n.Identity.Serial) || w == strings.ToLower(n.Identity.UUID))
}

// nothing is the error of a plan without a server.
func (p *bootstrapPlan) nothing() error {
	if len(p.running) == 0 {
		return withHint(usageError("there is no server to install"), "racker node list")
	}
	return withHint(usageError("every server is on, and running servers are left alone: %s", places(p.running)),
		"--power-cycle-running installs them all the same")
}

// macs names the servers of the plan for the request: those that are on too, which the daemon then leaves out with
// its reason, after its own look at their power.
func (p *bootstrapPlan) macs() []string {
	var out []string
	for _, n := range slices.Concat(p.install, p.running) {
		out = append(out, n.PrimaryMAC)
	}
	return out
}

// longTable is how many rows a terminal may have scrolled away with the line above them.
const longTable = 15

// show prints the plan on stderr.
func (p *bootstrapPlan) show(o *bootstrapOptions) error {
	io := *o.IO
	io.Out, io.OutTTY = io.Err, io.ErrTTY
	servers, disks := fmt.Sprintf("%d servers", len(p.install)), "their install disks are"
	if len(p.install) == 1 {
		servers, disks = "1 server", "its install disk is"
	}
	headline := fmt.Sprintf("Install %s on %s; %s %s", stdio.Clean(o.declaredImage()), servers, disks, io.PaintErr(stdio.Bad, "ERASED"))
	fmt.Fprintln(io.Err, headline+":")
	t := io.Table("server", "mac", "bmc", "power", "state", "install disk").Spare(1, 4)
	for i := range p.install {
		n := &p.install[i]
		t.Row(cmp.Or(n.Where, n.Name), n.PrimaryMAC, yesNo(n.BMCReached), dash(string(n.Power)), stateText(n), p.planDisk(n))
		if !n.BMCReached {
			t.Color(2, stdio.Bad)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(p.running) > 0 {
		fmt.Fprintln(io.Err, foldedErr(&io, "Already on, left alone: "+places(p.running)+" (--power-cycle-running installs them all the same)", 2))
	}
	if len(p.excluded) > 0 {
		fmt.Fprintln(io.Err, foldedErr(&io, "Excluded: "+places(p.excluded), 2))
	}
	for _, w := range p.warnings(&io) {
		fmt.Fprintln(io.Err, w)
	}
	for _, rule := range runRules(&o.request, &io, o.Now()) {
		fmt.Fprintln(io.Err, rule)
	}
	for _, w := range o.folderWarnings() {
		fmt.Fprintln(io.Err, foldedErr(&io, "Warning: "+stdio.Clean(w), 2))
	}
	if io.ErrTTY && len(p.install) > longTable {
		fmt.Fprintln(io.Err, headline)
	}
	return nil
}

// places lists where nodes are, of many only some.
func places(nodes []api.NodeView) string {
	var out []string
	for i := range nodes {
		out = append(out, cmp.Or(nodes[i].Where, nodes[i].Name))
	}
	return cutList(out)
}

// confirm shows the plan, and on a terminal wants the word yes typed, unless --yes was given.
func (o *bootstrapOptions) confirm(ctx context.Context, p *bootstrapPlan) error {
	if err := p.show(o); err != nil {
		return err
	}
	if o.Yes {
		return nil
	}
	return typeWord(ctx, o.IO, "yes")
}
