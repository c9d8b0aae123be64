package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// PlanErase says what a run would erase, as far as the hardware of its nodes is known from an earlier boot of the
// microkernel. Nothing is changed. Errors match ErrRequest.
func (m *Machine) PlanErase(ctx context.Context, p api.ErasePlan) (api.EraseView, error) {
	nodes, err := m.chosen(p.Run)
	if err != nil {
		return api.EraseView{}, err
	}
	v := api.EraseView{Rows: []api.EraseRow{}}
	for _, mac := range nodes {
		n, rec := m.node(mac)
		if n == nil {
			continue
		}
		if rec.Hardware == nil {
			v.Waiting = append(v.Waiting, n.Where())
			continue
		}
		row, err := m.planRow(ctx, n, rec, &p)
		if err != nil {
			return api.EraseView{}, fmt.Errorf("plan of %s: %w", n.Where(), err)
		}
		v.Rows = append(v.Rows, row)
	}
	v.Digest = api.EraseDigest(v.Rows)
	return v, nil
}

// planRow is what would be erased on one node; why it would be refused is part of the row.
func (m *Machine) planRow(ctx context.Context, n *rack.Node, rec *Record, p *api.ErasePlan) (api.EraseRow, error) {
	c, err := m.planConfig(ctx, n, p)
	if err != nil {
		return api.EraseRow{}, err
	}
	man, err := m.planImage(ctx, c, p.Run.Image)
	if err != nil {
		return api.EraseRow{}, err
	}
	rule, erase := diskOrder(n, rec, &p.Run, c, man)
	res, err := hwinfo.Plan(rec.Hardware.Disks, rule, erase)
	row := eraseRow(n, &res, ownDigest(rec, &res))
	if err != nil {
		row.Refused = err.Error()
	}
	return row, nil
}

// planConfig gives the config that a plan has for a node; nil for none.
func (m *Machine) planConfig(ctx context.Context, n *rack.Node, p *api.ErasePlan) (*api.NodeConfig, error) {
	mac := n.Primary.String()
	if c, ok := p.Declared[mac]; ok {
		return &c, nil
	}
	c, err := m.declared(ctx, n.Primary, p.Run.Configs[mac])
	if errors.Is(err, errNoConfig) {
		return nil, fmt.Errorf("%w: %w", err, ErrRequest)
	}
	return c, err
}

// planImage gives the image that a node would get; nil for one that is not here yet.
func (m *Machine) planImage(ctx context.Context, c *api.NodeConfig, name string) (*image.Manifest, error) {
	if c != nil && c.Image != "" {
		name = c.Image
	}
	if name == "" {
		return nil, nil
	}
	man, err := m.needs.Images.Get(ctx, name)
	if errors.Is(err, image.ErrNotFound) {
		return nil, nil
	}
	return man, err
}

// ownDigest is the digest of what is erased. What is on a disk that racker installed itself does not count: the system there
// may change it, and the inventory is older than the install.
func ownDigest(rec *Record, res *api.DiskResult) string {
	if rec.Install == nil || rec.Install.Disk == "" || rec.Install.Disk != diskName(&res.Disk) {
		return res.Digest()
	}
	own := *res
	own.Disk.Contents, own.Disk.Foreign = nil, nil
	return own.Digest()
}
