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

// erasePlanner tells what a run would erase.
type erasePlanner interface {
	PlanErase(ctx context.Context, p api.ErasePlan) (api.EraseView, error)
}

// planDisks asks which disks the servers of the plan would have erased, as far as their hardware is known.
func (o *bootstrapOptions) planDisks(ctx context.Context, d erasePlanner, p *bootstrapPlan) error {
	ask := api.ErasePlan{Run: o.request, Declared: map[string]api.NodeConfig{}}
	ask.Run.Image, ask.Run.Nodes, ask.Run.Exclude = o.imageID, nil, nil
	if ask.Run.Image == "" && !isFile(o.Image) {
		ask.Run.Image = o.Image
	}
	for i := range p.install {
		ask.Run.Nodes = append(ask.Run.Nodes, p.install[i].PrimaryMAC)
	}
	if o.cluster != nil {
		for i := range o.cluster.nodes {
			n := &o.cluster.nodes[i]
			c := n.Config
			c.Butane = nil // it says nothing about the install disk, and may be long
			ask.Declared[n.Spec.MAC.String()] = c
		}
	}
	v, err := d.PlanErase(ctx, ask)
	if err != nil {
		return err
	}
	p.disks = v
	return nil
}

// row is what the plan knows of a server's disks; nil for nothing.
func (p *bootstrapPlan) row(mac string) *api.EraseRow {
	i := slices.IndexFunc(p.disks.Rows, func(r api.EraseRow) bool { return r.Node == mac })
	if i < 0 {
		return nil
	}
	return &p.disks.Rows[i]
}

// shown gives the digests of the disks that the plan names: who confirms the plan has confirmed them.
func (p *bootstrapPlan) shown() map[string]string {
	out := map[string]string{}
	for i := range p.disks.Rows {
		if r := &p.disks.Rows[i]; r.Refused == "" {
			out[r.Node] = r.Digest
		}
	}
	return out
}

// planDisk names the disk that is erased, as far as anybody knows before the server has booted the microkernel.
func (p *bootstrapPlan) planDisk(n *api.NodeView) string {
	return rowDisk(p.row(n.PrimaryMAC))
}

// rowDisk names the disk that is erased in few words; r is nil while nothing is known of it.
func rowDisk(r *api.EraseRow) string {
	if r == nil || r.Disk.Path == "" {
		return "not seen yet"
	}
	d := &r.Disk
	return strings.Join(nonEmpty(d.Path, bytesText(d.Size), cmp.Or(d.Serial, d.WWN), alike(r.Matched)), ", ")
}

// rowWarnings are what is to be said of a node's disks beside naming the one that is written: others that lose their signatures,
// and why the node would be refused.
func rowWarnings(io *stdio.Streams, r *api.EraseRow) (out []string) {
	if r == nil {
		return nil
	}
	for i := range r.Wipes {
		out = append(out, fmt.Sprintf("the signatures of %s are %s, too", stdio.Clean(diskText(&r.Wipes[i])), io.PaintErr(stdio.Bad, "ERASED")))
	}
	if r.Refused != "" {
		out = append(out, "it would not be installed: "+stdio.Clean(r.Refused))
	}
	return out
}

// warnings are what the plan says of disks beside naming them: other disks that lose their signatures, and refusals.
func (p *bootstrapPlan) warnings(io *stdio.Streams) []string {
	var out []string
	for i := range p.disks.Rows {
		r := &p.disks.Rows[i]
		for j := range r.Wipes {
			out = append(out, fmt.Sprintf("%s: the signatures of %s are %s, too", r.Where, diskText(&r.Wipes[j]), io.PaintErr(stdio.Bad, "ERASED")))
		}
		if r.Refused != "" {
			out = append(out, fmt.Sprintf("%s would not be installed: %s", r.Where, r.Refused))
		}
	}
	for i := range out {
		out[i] = foldedErr(io, stdio.Clean(out[i]), 2)
	}
	return out
}

// dryRun shows the plan and does nothing.
func (o *bootstrapOptions) dryRun(ctx context.Context, d provisioner) error {
	if err := o.possible(ctx, d); err != nil {
		return err
	}
	p, err := o.plan(ctx, d)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(p.disks)
	}
	if len(p.install) == 0 {
		return o.IO.Outf("All servers are as ordered: nothing would be done\n")
	}
	if err := p.show(o); err != nil {
		return err
	}
	for i := range p.install {
		n := &p.install[i]
		text := "not seen yet: racker node boot " + n.Name + " inventory finds it"
		if r := p.row(n.PrimaryMAC); r != nil && r.Disk.Path != "" {
			text = diskText(&r.Disk)
		}
		if err := o.IO.Outf("%s: %s\n", stdio.Clean(n.Name), stdio.Clean(text)); err != nil {
			return err
		}
	}
	return nil
}
