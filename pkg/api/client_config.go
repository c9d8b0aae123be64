package api

import (
	"context"
	"net/http"
)

// PutConfig sends a node's declared config; the answer has its digest, by which a run or an apply names it.
func (c *Client) PutConfig(ctx context.Context, node string, cfg NodeConfig) (ConfigView, error) {
	return call[ConfigView](ctx, c, http.MethodPut, nodePath(node, "config"), cfg)
}

// Config gives a node's declared configs: the one that was sent last, and the one that is on the node.
func (c *Client) Config(ctx context.Context, node string) (ConfigView, error) {
	return call[ConfigView](ctx, c, http.MethodGet, nodePath(node, "config"), nil)
}
