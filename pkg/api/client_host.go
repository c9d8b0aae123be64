package api

import (
	"context"
	"net/http"
)

// Hosts tells how each server is reached once it is installed.
func (c *Client) Hosts(ctx context.Context) ([]HostView, error) {
	return call[[]HostView](ctx, c, http.MethodGet, "/v1/hosts", nil)
}

// Key tells of racker's own SSH key.
func (c *Client) Key(ctx context.Context) (KeyView, error) {
	return call[KeyView](ctx, c, http.MethodGet, "/v1/key", nil)
}

// RotateKey gives the nodes a new key of racker's, and takes the old one away. It goes on when its client goes away, and where it
// was left off.
func (c *Client) RotateKey(ctx context.Context) (KeyRotation, error) {
	return call[KeyRotation](ctx, c, http.MethodPost, "/v1/key/rotate", nil)
}
