package cli

import (
	"context"

	"github.com/racker-project/racker/pkg/api"
)

// installs reports whether the install disk of the node is written.
func (n *applyNode) installs() bool {
	return n.Action == applyInstall || n.Action == applyChange && n.Cost == api.CostReinstall
}

// planDisks asks which disks the installs of the plan would erase, as far as their hardware is known.
func (p *applyPlan) planDisks(ctx context.Context, d erasePlanner) error {
	ask := api.ErasePlan{Run: api.RunRequest{Provision: provisionFlatcar}, Declared: map[string]api.NodeConfig{}}
	for _, n := range p.nodes {
		if !n.installs() || n.view.State != stateReady && n.Action != applyInstall {
			continue
		}
		c := n.declared.Config
		c.Butane = nil // it says nothing about the install disk, and may be long
		ask.Run.Nodes, ask.Declared[n.MAC] = append(ask.Run.Nodes, n.MAC), c
	}
	if len(ask.Run.Nodes) == 0 { // which would mean all
		return nil
	}
	v, err := d.PlanErase(ctx, ask)
	if err != nil {
		return err
	}
	for _, n := range p.nodes {
		for i := range v.Rows {
			if v.Rows[i].Node == n.MAC {
				n.Disks = &v.Rows[i]
			}
		}
	}
	return nil
}

// erases says who allows the disks of an install to be erased: whoever confirmed the plan has confirmed those that it names, and
// no others; with --yes nobody looked, so that the rule must leave no choice.
func (o *applyOptions) erases(n *applyNode) (erase, shown string) {
	if o.Yes {
		return api.EraseExact, ""
	}
	if n.Disks != nil && n.Disks.Refused == "" {
		shown = n.Disks.Digest
	}
	return api.EraseAsk, shown
}

// laterWipes says what a change erases at the next install that costs nothing today.
func (n *applyNode) laterWipes() {
	before, now := n.config.Applied, &n.declared.Config
	if before == nil || n.Cost == api.CostReinstall {
		return
	}
	say := func(text string) { n.Warnings = append(n.Warnings[:len(n.Warnings):len(n.Warnings)], text) }
	if now.Wipe == api.WipeAll && before.Wipe != api.WipeAll {
		say("wipe: all does nothing now; the next install of this node erases the signatures of all its other disks, too")
	}
	if now.WipeOldOS && !before.WipeOldOS && now.Wipe != api.WipeAll {
		say("wipe_old_os does nothing now; the next install of this node erases the signatures of other disks that hold a system")
	}
}
