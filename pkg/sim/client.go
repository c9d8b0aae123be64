package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Client talks to the supervisor of a folder.
type Client struct {
	folder Folder
	http   *http.Client
}

// NewClient gives a client; it connects when it is used.
func NewClient(folder Folder) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialIn(ctx, string(folder), controlFile)
	}
	return &Client{folder: folder, http: &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout:   controlTimeout,
	}}
}

// Status asks what the servers are doing. ErrNotRunning is matched when no rack is up.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var st Status
	if err := c.do(ctx, http.MethodGet, "/status", nil, &st); err != nil {
		return nil, err
	}
	return &st, nil
}

// Power gives a power order to a server. ErrNotRunning is matched when no rack is up.
func (c *Client) Power(ctx context.Context, node string, order PowerOrder) error {
	return c.do(ctx, http.MethodPost, "/nodes/"+node+"/power", powerRequest{order}, nil)
}

// SetFaults makes a server misbehave, or behave again. ErrNotRunning is matched when no rack is up.
func (c *Client) SetFaults(ctx context.Context, node string, f Faults) error {
	return c.do(ctx, http.MethodPost, "/nodes/"+node+"/faults", f, nil)
}

// Down ends the rack and returns when it is gone, its supervisor's process too unless that is this one. ErrNotRunning is
// matched when no rack is up.
func (c *Client) Down(ctx context.Context) error {
	r, err := c.folder.read()
	if err != nil || r.PID == os.Getpid() {
		r.PID = 0
	}
	if err := c.do(ctx, http.MethodPost, "/down", nil, nil); err != nil {
		return err
	}
	for c.folder.alive() || running(r.PID) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the rack to end: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// running reports whether a process runs; one that has ended and not been waited for does not.
func running(pid int) bool {
	if pid == 0 {
		return false
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	process := os.NewFile(uintptr(fd), "pidfd")
	defer process.Close()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n == 0
}

func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	if !c.folder.alive() {
		return fmt.Errorf("%s: %w", c.folder, ErrNotRunning)
	}
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://rack"+path, &payload)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	res, err := c.http.Do(req)
	if err != nil && c.folder.dying() {
		return fmt.Errorf("%s: %w", c.folder, ErrNotRunning)
	}
	if err != nil {
		return fmt.Errorf("ask the rack in %s: %w", c.folder, err)
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	if res.StatusCode >= http.StatusBadRequest {
		var p problem
		if err := dec.Decode(&p); err != nil {
			return fmt.Errorf("ask the rack in %s: %s", c.folder, res.Status)
		}
		return errors.New(p.Message)
	}
	if result == nil {
		return nil
	}
	if err := dec.Decode(result); err != nil {
		return fmt.Errorf("ask the rack in %s: %w", c.folder, err)
	}
	return nil
}
