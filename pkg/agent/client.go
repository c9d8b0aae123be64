package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// Bounds of answers in bytes, and of requests in time. A check-in is held by the server for about 30 s.
const (
	maxAnswer   = 64 << 20
	maxReason   = 4 << 10
	askTimeout  = 30 * time.Second
	pollTimeout = 90 * time.Second
)

// StatusError is an answer other than 2xx.
type StatusError struct {
	Code int
	Text string
}

// Error implements error.
func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the server answered %d: %s", e.Code, e.Text))
}

// refused reports whether the server does not take the session: its token is wrong, old, or another's.
func refused(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && (s.Code == http.StatusUnauthorized || s.Code == http.StatusForbidden)
}

// lasting reports whether repeating the request cannot help: the server understood it and said no.
func lasting(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code >= 400 && s.Code < 500 &&
		s.Code != http.StatusRequestTimeout && s.Code != http.StatusTooManyRequests
}

// client speaks the agent API. It may be used concurrently.
type client struct {
	base  *url.URL
	http  *http.Client
	close func() // ends idle connections
}

// newClient makes a client with a new session key.
func newClient(s Settings, m Machine) (*client, error) {
	cert, err := sessionCertificate()
	if err != nil {
		return nil, err
	}
	dial := m.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	t := &http.Transport{
		DialContext:           dial,
		TLSClientConfig:       tlsConfig(s.Pin, s.Server.Hostname(), cert),
		TLSHandshakeTimeout:   20 * time.Second,
		MaxIdleConnsPerHost:   1, // a thousand agents at once: each connection costs the management node some 30 KiB
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
	}
	c := &client{base: s.Server, http: &http.Client{Transport: t}, close: t.CloseIdleConnections}
	if m.Between != nil {
		c.http.Transport = m.Between(t)
	}
	return c, nil
}

// do sends one request and gives the body of a 2xx answer; any other answer is a *StatusError.
func (c *client) do(ctx context.Context, limit time.Duration, method, path, kind string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	u := *c.base
	u.Path = path
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err // names method and URL already
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason))
		return nil, &StatusError{Code: resp.StatusCode, Text: strings.TrimSpace(string(text))}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("larger than %d MiB", maxAnswer>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return data, nil
}

// ask sends in as JSON, or nothing when it is nil, and decodes the answer into out.
func (c *client) ask(ctx context.Context, limit time.Duration, method, path string, in, out any) error {
	var body []byte
	kind := ""
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("ask %s: %w", path, err)
		}
		kind = "application/json"
	}
	data, err := c.do(ctx, limit, method, path, kind, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("answer of %s: %w", path, err)
	}
	return nil
}

// now asks for the server's clock.
func (c *client) now(ctx context.Context) (api.Time, error) {
	var t api.Time
	err := c.ask(ctx, askTimeout, http.MethodGet, api.AgentTimePath, nil, &t)
	if err == nil && t.Now.IsZero() {
		err = errors.New("the server told no time")
	}
	return t, err
}

// checkIn says who we are and asks for orders.
func (c *client) checkIn(ctx context.Context, in api.CheckIn) (api.Assignment, error) {
	var a api.Assignment
	return a, c.ask(ctx, pollTimeout, http.MethodPost, api.AgentCheckInPath, in, &a)
}

// report posts one report of a step.
func (c *client) report(ctx context.Context, job string, step int, r api.StepReport) (api.StepReply, error) {
	var reply api.StepReply
	path := api.AgentJobsPath + job + "/steps/" + strconv.Itoa(step)
	return reply, c.ask(ctx, askTimeout, http.MethodPost, path, r, &reply)
}

// blob fetches a named blob of a job.
func (c *client) blob(ctx context.Context, job, name string) ([]byte, error) {
	return c.do(ctx, pollTimeout, http.MethodGet, api.AgentJobsPath+job+"/blobs/"+name, "", nil)
}

// sendLog appends lines to the node's log on the server.
func (c *client) sendLog(ctx context.Context, lines []byte) error {
	_, err := c.do(ctx, askTimeout, http.MethodPost, api.AgentLogPath, "text/plain; charset=utf-8", lines)
	return err
}
