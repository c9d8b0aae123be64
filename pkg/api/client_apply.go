package api

import (
	"context"
	"net/http"
)

// Apply brings a ready node to a config that was sent before. The run goes on without its client.
func (c *Client) Apply(ctx context.Context, node string, o ApplyOrder) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, nodePath(node, "apply"), o)
}

// UpgradeOS updates the OS of a ready node. The run goes on without its client.
func (c *Client) UpgradeOS(ctx context.Context, node string, o OSUpgrade) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, nodePath(node, "os-upgrade"), o)
}
