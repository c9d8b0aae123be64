package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Client speaks the operator API over its unix socket. It may be used concurrently; it dials when it is first used.
//
// Errors of the server match *Error. So does a socket that nobody answers on, with a hint what to start.
type Client struct {
	socket string
	http   *http.Client
	header http.Header // of every request
}

// maxErrorBody bounds what is read of the body of a failed request, in bytes.
const maxErrorBody = 64 << 10

// exitFailed is the exit code of an error that brings none of its own.
const exitFailed = 1

// NewClient gives a client of the daemon that listens at socket.
func NewClient(socket string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, socket)
		},
		DisableCompression: true,
	}
	return &Client{socket: socket, http: &http.Client{Transport: transport}}
}

// Rack describes the rack and the daemon that serves it.
func (c *Client) Rack(ctx context.Context) (RackView, error) {
	return call[RackView](ctx, c, http.MethodGet, "/v1/rack", nil)
}

// Nodes lists all nodes in the order of nodes.csv. With refresh the BMCs are asked for their power state first.
func (c *Client) Nodes(ctx context.Context, refresh bool) ([]NodeView, error) {
	path := "/v1/nodes"
	if refresh {
		path += "?refresh=1"
	}
	return call[[]NodeView](ctx, c, http.MethodGet, path, nil)
}

// Node gives the node that word names: a name, any of its MACs, an address, a serial or a UUID.
func (c *Client) Node(ctx context.Context, word string) (NodeView, error) {
	return call[NodeView](ctx, c, http.MethodGet, "/v1/nodes/"+url.PathEscape(word), nil)
}

// Images lists the images that the daemon holds.
func (c *Client) Images(ctx context.Context) ([]ImageView, error) {
	return call[[]ImageView](ctx, c, http.MethodGet, "/v1/images", nil)
}

// RemoveImage removes an image by its ID or name.
func (c *Client) RemoveImage(ctx context.Context, id string) error {
	_, err := call[json.RawMessage](ctx, c, http.MethodDelete, "/v1/images/"+url.PathEscape(id), nil)
	return err
}

// Leases lists the leases that the daemon gave out.
func (c *Client) Leases(ctx context.Context) ([]LeaseView, error) {
	return call[[]LeaseView](ctx, c, http.MethodGet, "/v1/leases", nil)
}

// call does one request with a JSON body, unless it is nil, and decodes the JSON answer; an empty one is the zero T.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var answer T
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer, fmt.Errorf("%s %s: %w", method, path, err)
		}
		send = bytes.NewReader(b)
	}
	resp, err := c.do(ctx, method, path, send, "application/json")
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		return answer, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return answer, nil
}

// do sends one request and turns everything but success into an error.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader, kind string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://racker"+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if c.header != nil {
		req.Header = c.header.Clone()
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, decodeError(resp)
}

// explain says in the operator's words why the daemon cannot be asked. What ended because its context did, stays so.
func (c *Client) explain(err error) error {
	var why *url.Error
	if errors.As(err, &why) {
		err = why.Err // the method and an invented host help nobody
	}
	e := &Error{Code: exitFailed}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask the daemon: %w", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		e.Message = "no racker daemon answers at " + c.socket
		e.Hint = "racker serve"
	case errors.Is(err, fs.ErrPermission):
		e.Message = "the daemon's socket " + c.socket + " is not yours to use"
		e.Hint = "run it as root, or let root add you to the group " + GroupOrder + ", or " + GroupRead + " to look only"
	default:
		e.Message = fmt.Sprintf("the daemon at %s broke off: %v", c.socket, err)
		e.Hint = "racker status"
	}
	return &unreachable{Err: err, Answer: e}
}

// decodeError reads the body of a failed request; what is not ours is quoted.
func decodeError(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return fmt.Errorf("%s %s: %s: %w", resp.Request.Method, resp.Request.URL.Path, resp.Status, err)
	}
	var e Error
	if json.Unmarshal(b, &e) != nil || e.Message == "" {
		e = Error{Message: fmt.Sprintf("%s %s: %s: %s", resp.Request.Method, resp.Request.URL.Path, resp.Status,
			strings.TrimSpace(string(b)))}
	}
	if e.Code == 0 {
		e.Code = exitFailed
	}
	e.Status = resp.StatusCode
	return &e
}
