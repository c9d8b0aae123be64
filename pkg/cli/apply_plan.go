package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/ignite"
)

// What an apply does with a node.
const (
	applyUnchanged = "unchanged"
	applyChange    = "change"
	applyInstall   = "install" // it was never installed
	applyIgnored   = "ignored" // frozen by the operator
	applyLeftOut   = "excluded"
	applyBlocked   = "blocked" // it has changes, and is in no state to take them
)

// applyPlan is what an apply is about to do.
type applyPlan struct {
	folder   *clusterFolder
	declared []declaredNode // all of the folder
	nodes    []*applyNode   // those that were named, in the order of nodes.csv
	warnings []string
}

// applyNode is one node of a plan; as JSON it is what scripts see.
type applyNode struct {
	Node     string         `json:"node"`
	MAC      string         `json:"mac"`
	Action   string         `json:"action"`         // unchanged, change, install, ignored, excluded or blocked
	Cost     string         `json:"cost,omitempty"` // one of the costs, for a change
	Reason   string         `json:"reason,omitempty"`
	Changes  []applyReason  `json:"changes,omitempty"`
	Erases   []string       `json:"erases,omitempty"` // beside ROOT or the install disk
	Wipes    bool           `json:"wipes,omitempty"`  // wants --allow-wipe
	Disks    *api.EraseRow  `json:"disks,omitempty"`  // those that an install would erase, as far as they are known
	Diff     string         `json:"diff,omitempty"`   // of the Butane, unified
	Warnings []string       `json:"warnings,omitempty"`
	Result   string         `json:"result,omitempty"` // after an apply: applied, installed, failed, or not begun
	Run      string         `json:"run,omitempty"`
	Error    *api.Error     `json:"error,omitempty"`
	view     api.NodeView   // as the daemon sees it
	config   api.ConfigView // what the daemon has of it
	declared *declaredNode
	digest   string
}

// applyReason is one change with its cost.
type applyReason struct {
	What string `json:"what"`
	Cost string `json:"cost"`
	Why  string `json:"why"`
}

// plan compares the folder with the nodes.
func (o *applyOptions) plan(ctx context.Context, d applier, folder *clusterFolder) (*applyPlan, error) {
	s, err := o.Settings()
	if err != nil {
		return nil, err
	}
	p := &applyPlan{folder: folder}
	if p.declared, p.warnings, err = folder.declare(ctx, d, s.Ports); err != nil {
		return nil, err
	}
	views, err := d.Nodes(ctx, false)
	if err != nil {
		return nil, err
	}
	images, err := d.Images(ctx)
	if err != nil {
		return nil, err
	}
	named, err := macsOf(ctx, d, views, o.Words)
	if err != nil {
		return nil, err
	}
	frozen, err := macsOf(ctx, d, views, o.IgnoreChanges)
	if err != nil {
		return nil, fmt.Errorf("--ignore-changes: %w", err)
	}
	if _, err := macsOf(ctx, d, views, o.AllowWipe); err != nil {
		return nil, fmt.Errorf("--allow-wipe: %w", err)
	}
	for i := range p.declared {
		mac := p.declared[i].MAC()
		at := slices.IndexFunc(views, func(v api.NodeView) bool { return v.PrimaryMAC == mac })
		if at < 0 || len(named) > 0 && !slices.Contains(named, mac) {
			continue
		}
		n, err := planNode(ctx, d, images, &p.declared[i], views[at], slices.Contains(frozen, mac))
		if err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, n)
	}
	return p, p.planDisks(ctx, d)
}

// macsOf gives the primary MACs of the servers that words name.
func macsOf(ctx context.Context, d nodeGetter, views []api.NodeView, words []string) ([]string, error) {
	var out []string
	for _, w := range words {
		if w = strings.TrimSpace(w); w == "" {
			continue
		}
		n, err := namedNode(ctx, d, views, w)
		if err != nil {
			return nil, err
		}
		out = append(out, n.PrimaryMAC)
	}
	return out, nil
}

// planNode finds what is to be done with one node.
func planNode(
	ctx context.Context, d applier, images []api.ImageView, declared *declaredNode, view api.NodeView, frozen bool,
) (*applyNode, error) {
	n := &applyNode{Node: view.Name, MAC: view.PrimaryMAC, Warnings: declared.Warnings, view: view, declared: declared}
	var err error
	if n.config, err = d.Config(ctx, view.PrimaryMAC); err != nil {
		return nil, err
	}
	if err := n.image(images); err != nil {
		return nil, err
	}
	if n.digest, err = declared.Config.Digest(); err != nil {
		return nil, err
	}
	n.Diff = butaneDiff(n.config.Applied, &declared.Config)
	if n.settled(frozen || declared.Spec.IgnoreChanges) {
		return n, nil
	}
	if err := n.compare(); err != nil {
		return nil, err
	}
	n.block()
	return n, nil
}

// settled finds a node of which nothing has to be compared.
func (n *applyNode) settled(frozen bool) bool {
	switch {
	case frozen:
		n.Action, n.Reason = applyIgnored, "its changes are ignored, as you said"
	case n.view.State == stateExcluded:
		n.Action, n.Reason = applyLeftOut, "it is excluded"
	case n.view.State == stateKnown && n.view.Image == "" && n.config.Applied == nil:
		n.Action, n.Reason = applyInstall, "it was never installed"
	case n.config.AppliedDigest == n.digest && !n.unfinished():
		n.Action = applyUnchanged
	}
	return n.Action != ""
}

// unfinished reports whether an apply that failed left something to do, even with the same config.
func (n *applyNode) unfinished() bool {
	return len(n.config.Attempted) > 0 || n.config.Staged != "" || n.config.Unproved
}

// block marks a node that is in no state to take its changes.
func (n *applyNode) block() {
	switch {
	case n.view.Adopted:
		n.Action, n.Reason = applyBlocked, "it was taken in as it ran: racker did not install it"
	case n.view.State != stateReady:
		n.Action, n.Reason = applyBlocked, "it is "+stateText(&n.view)
		if n.view.Reason != "" {
			n.Reason += ": " + n.view.Reason
		}
	}
}

// image names the image that the node is to have. A folder that names a channel or a version leaves an installed node the image
// that it has: a newer one is a matter of racker os upgrade.
func (n *applyNode) image(images []api.ImageView) error {
	want, config := n.declared.Spec.Image, &n.declared.Config
	if n.config.Applied != nil && want.Name == "" {
		config.Image = n.config.Applied.Image
		return nil
	}
	name, err := imageFor(images, want)
	switch {
	case err == nil:
		config.Image = name
	case n.config.Applied != nil: // it is not needed unless it is another one, and then the daemon wants it
		config.Image = want.Name
	default:
		return fmt.Errorf("%s: %w", n.where(), err)
	}
	return nil
}

// compare finds the changes of a node and their cost, also from what an apply left that did not end.
func (n *applyNode) compare() error {
	c, err := ignite.Compare(n.config.Applied, &n.declared.Config)
	if err != nil {
		return withCode(codeUsage, err)
	}
	for i := range n.config.Attempted {
		more, err := ignite.Compare(&n.config.Attempted[i], &n.declared.Config)
		if err != nil {
			return withCode(codeUsage, err)
		}
		c = c.And(more)
	}
	n.Action, n.Cost = applyChange, c.Cost
	n.Wipes = c.Cost == api.CostWipeRoot || c.Cost == api.CostReinstall
	if n.Wipes {
		n.Erases = c.Erases
	}
	for _, ch := range c.Changes {
		n.Changes = append(n.Changes, applyReason(ch))
	}
	switch {
	case n.config.Staged != "":
		n.Reason = "its next boot would erase ROOT, as an apply that failed ordered; that is taken back"
	case n.config.Unproved:
		n.Reason = "its health command did not succeed after the last apply; it is run again"
	case len(n.Changes) == 0:
		n.Reason = "the same in other words"
	}
	n.laterWipes()
	return nil
}

// with gives the nodes with an action, those first of which it is not known that they are well: while they are not, no other node
// is changed.
func (p *applyPlan) with(action string) []*applyNode {
	nodes := slices.DeleteFunc(slices.Clone(p.nodes), func(n *applyNode) bool { return n.Action != action })
	slices.SortStableFunc(nodes, func(a, b *applyNode) int {
		switch {
		case a.config.Unproved == b.config.Unproved:
			return 0
		case a.config.Unproved:
			return -1
		}
		return 1
	})
	return nodes
}

// any reports whether there is something to do.
func (p *applyPlan) any() bool { return p.count()+len(p.with(applyBlocked)) > 0 }

func (p *applyPlan) count() int { return len(p.with(applyChange)) + len(p.with(applyInstall)) }

// possible refuses, before anything is touched, what is not allowed or cannot be done.
func (p *applyPlan) possible(o *applyOptions) error {
	var wipes, blocked []string
	for _, n := range p.nodes {
		switch {
		case n.Action == applyBlocked:
			blocked = append(blocked, n.Node+": "+n.Reason)
		case n.Wipes && !slices.ContainsFunc(o.AllowWipe, func(w string) bool { return answersTo(&n.view, strings.TrimSpace(w)) }):
			wipes = append(wipes, n.Node)
		}
	}
	if len(blocked) > 0 {
		return withHint(fmt.Errorf("nodes that have changes are in no state to take them: %s", cutList(blocked)),
			"racker node show NODE; --ignore-changes NODE leaves it as it is")
	}
	if len(wipes) > 0 {
		return withHint(withCode(codeNotConfirmed, fmt.Errorf("data would be erased on %s, which was not allowed", cutList(wipes))),
			"--allow-wipe "+strings.Join(wipes, ",")+" allows it; --ignore-changes leaves nodes as they are")
	}
	return nil
}

// view is the plan as JSON.
func (p *applyPlan) view() any {
	nodes := p.nodes
	if nodes == nil {
		nodes = []*applyNode{}
	}
	return struct {
		Nodes    []*applyNode `json:"nodes"`
		Warnings []string     `json:"warnings,omitempty"`
	}{nodes, p.warnings}
}

func (n *applyNode) where() string { return cmp.Or(n.view.Where, n.Node) }
