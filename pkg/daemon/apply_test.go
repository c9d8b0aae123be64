package daemon

import (
	"context"

	"github.com/racker-project/racker/pkg/api"
)

func (c clerk) Apply(ctx context.Context, node string, o api.ApplyOrder) (api.RunView, error) {
	if _, err := c.Node(ctx, node); err != nil {
		return api.RunView{}, err
	}
	return c.RunView("apply-" + o.Cost)
}

func (c clerk) UpgradeOS(ctx context.Context, node string, o api.OSUpgrade) (api.RunView, error) {
	return c.Apply(ctx, node, api.ApplyOrder{Cost: o.Version})
}
