package api

import (
	"context"
	"net/http"
	"net/url"
)

// nodePath is the path of an order to the node that word names.
func nodePath(word, order string) string { return "/v1/nodes/" + url.PathEscape(word) + "/" + order }

// Reprovision orders a fresh install of one node; its disk is erased. The run goes on without its client.
func (c *Client) Reprovision(ctx context.Context, node string, r Reprovision) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, nodePath(node, "reprovision"), r)
}

// Boot boots a node into its system, or once into the microkernel.
func (c *Client) Boot(ctx context.Context, node string, o BootOrder) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, nodePath(node, "boot"), o)
}

// Power switches a node on or off; it returns after the BMC has confirmed it.
func (c *Client) Power(ctx context.Context, node string, o PowerOrder) (OrderView, error) {
	return call[OrderView](ctx, c, http.MethodPost, nodePath(node, "power"), o)
}

// Exclude powers a node off and leaves it out of all runs.
func (c *Client) Exclude(ctx context.Context, node string) (OrderView, error) {
	return call[OrderView](ctx, c, http.MethodPost, nodePath(node, "exclude"), nil)
}

// Include takes an excluded node back.
func (c *Client) Include(ctx context.Context, node string) (OrderView, error) {
	return call[OrderView](ctx, c, http.MethodPost, nodePath(node, "include"), nil)
}

// Adopt takes a running node in as ready, without touching it.
func (c *Client) Adopt(ctx context.Context, node string) (OrderView, error) {
	return call[OrderView](ctx, c, http.MethodPost, nodePath(node, "adopt"), nil)
}

// Replace notes new hardware for a node's row; Reload takes it once nodes.csv has it.
func (c *Client) Replace(ctx context.Context, node string, r Replace) (OrderView, error) {
	return call[OrderView](ctx, c, http.MethodPost, nodePath(node, "replace"), r)
}

// Reload lets the daemon read nodes.csv again.
func (c *Client) Reload(ctx context.Context) (ReloadView, error) {
	return call[ReloadView](ctx, c, http.MethodPost, "/v1/rack/reload", nil)
}
