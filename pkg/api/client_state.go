package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// State streams an export of the whole state, secrets included: GET /v1/state?file=PATH. Only root and the daemon's own user
// may have it. File, an absolute path, is the state file that the caller means; a daemon that holds another one refuses. The
// export's last line tells whether it is whole. The caller closes it.
func (c *Client) State(ctx context.Context, file string) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/state?"+url.Values{"file": {file}}.Encode(), nil, "")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
