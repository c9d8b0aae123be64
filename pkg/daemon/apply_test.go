package daemon

import (
	"context"
	"io"
	"time"

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

func (clerk) Updates(context.Context) ([]api.UpdateView, error) {
	return []api.UpdateView{{Version: "1.2.3", SHA256: sha, Added: time.Unix(0, 0).UTC()}}, nil
}

func (clerk) PutUpdate(_ context.Context, version, sum string, r io.Reader) (api.UpdateView, error) {
	n, err := io.Copy(io.Discard, r)
	if version == "x" {
		return api.UpdateView{}, errAbsent
	}
	if sum == "" {
		sum = sha
	}
	return api.UpdateView{Version: version, Size: n, SHA256: sum, Added: time.Unix(0, 0).UTC()}, err
}

const sha = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
