package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// UpdateView is a payload by which running systems update their OS: GET /v1/updates, and the answer to PUT /v1/updates/VERSION.
type UpdateView struct {
	Version string    `json:"version"`
	Size    int64     `json:"size"`   // bytes
	SHA256  string    `json:"sha256"` // lower-case hex
	Added   time.Time `json:"added"`
}

// Updates lists the OS updates that the daemon holds.
func (c *Client) Updates(ctx context.Context) ([]UpdateView, error) {
	return call[[]UpdateView](ctx, c, http.MethodGet, "/v1/updates", nil)
}

// PutUpdate sends the payload of a version, whose digest must be sha256, in lower-case hex.
func (c *Client) PutUpdate(ctx context.Context, version, sha256 string, payload io.Reader) (UpdateView, error) {
	var v UpdateView
	path := "/v1/updates/" + url.PathEscape(version)
	resp, err := c.do(ctx, http.MethodPut, path+"?sha256="+url.QueryEscape(sha256), payload, "application/octet-stream")
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("PUT %s: read the answer: %w", path, err)
	}
	return v, nil
}
