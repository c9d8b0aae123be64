package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

var errAbsent = errors.New("no such thing")

// desk is an operator and a library of fixed answers: "x" is absent, "panic" panics.
type desk struct{}

func (desk) Rack(context.Context) (api.RackView, error) { return api.RackView{Nodes: 3}, nil }
func (desk) Nodes(_ context.Context, refresh bool) ([]api.NodeView, error) {
	return []api.NodeView{{Name: fmt.Sprintf("refresh-%t", refresh)}}, nil
}

func (desk) Node(_ context.Context, word string) (api.NodeView, error) {
	switch word {
	case "x":
		return api.NodeView{}, errAbsent
	case "panic":
		panic("a bug")
	}
	return api.NodeView{Name: word}, nil
}
func (desk) Submit(_ context.Context, r api.RunRequest) (api.RunView, error) {
	return api.RunView{ID: r.Image}, nil
}
func (desk) Runs() []api.RunView { return []api.RunView{} }
func (desk) RunView(id string) (api.RunView, error) {
	if id == "x" {
		return api.RunView{}, errAbsent
	}
	return api.RunView{ID: id}, nil
}
func (d desk) Cancel(_ context.Context, id string) (api.RunView, error) { return d.RunView(id) }
func (desk) Leases(context.Context) ([]api.LeaseView, error)            { return []api.LeaseView{}, nil }
func (desk) List(context.Context) ([]api.ImageView, error)              { return []api.ImageView{}, nil }
func (desk) Remove(_ context.Context, id string) error {
	if id == "x" {
		return &api.Error{Message: "in use", Code: 5}
	}
	return nil
}

func (desk) Add(_ context.Context, name, _ string, r io.Reader, progress func(int64)) (api.ImageView, error) {
	n, err := io.Copy(io.Discard, r)
	progress(n)
	if name == "x" {
		return api.ImageView{}, errAbsent
	}
	return api.ImageView{Name: name, RawSize: n}, err
}

func newAPI(path string, bus Events) *API {
	return &API{
		Path: path, Operator: desk{}, Images: desk{}, Events: bus, Log: slog.New(slog.DiscardHandler),
		Explain: func(err error) *api.Error {
			var e *api.Error
			if errors.As(err, &e) {
				return e
			}
			code := 1
			if errors.Is(err, errAbsent) {
				code = 2
			}
			return &api.Error{Message: err.Error(), Code: code}
		},
	}
}

// serving gives an HTTP client of an API on a real socket.
func serving(t *testing.T, bus Events) *http.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s", "racker.sock")
	a := newAPI(path, bus)
	if err := a.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	})
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func TestRoutes(t *testing.T) {
	c := serving(t, event.NewBus())
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/rack", "", 200, `"nodes":3`},
		{"GET", "/v1/nodes", "", 200, "refresh-false"},
		{"GET", "/v1/nodes?refresh=1", "", 200, "refresh-true"},
		{"GET", "/v1/nodes/a%2Fb", "", 200, `"name":"a/b"`},
		{"GET", "/v1/nodes/x", "", 400, `{"message":"no such thing","code":2}`},
		{"GET", "/v1/nodes/panic", "", 500, `"code":1`},
		{"POST", "/v1/runs", `{"image":"os"}`, 200, `"id":"os"`},
		{"POST", "/v1/runs", `{"imgae":"os"}`, 400, `"code":2`},
		{"POST", "/v1/runs", `{`, 400, `"code":2`},
		{"POST", "/v1/runs", `{"image":"` + strings.Repeat("x", maxRequest) + `"}`, 400, `"code":2`},
		{"GET", "/v1/runs", "", 200, "[]"},
		{"GET", "/v1/runs/r", "", 200, `"id":"r"`},
		{"GET", "/v1/runs/x", "", 400, `"code":2`},
		{"POST", "/v1/runs/r/cancel", "", 200, `"id":"r"`},
		{"POST", "/v1/runs/x/cancel", "", 400, `"code":2`},
		{"GET", "/v1/leases", "", 200, "[]"},
		{"GET", "/v1/images", "", 200, "[]"},
		{"DELETE", "/v1/images/os", "", 200, "{}"},
		{"DELETE", "/v1/images/x", "", 409, `{"message":"in use","code":5}`},
		{"GET", "/v1/events?after=-1", "", 400, `"code":2`},
		{"GET", "/v1/nothing", "", 404, ""},
		{"PUT", "/v1/runs", "", 405, ""},
	} {
		status, body := ask(t, c, test.method, test.path, test.body)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, status, body, test.status, test.want)
		}
	}
}

func ask(t *testing.T, c *http.Client, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://racker"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAddImage(t *testing.T) {
	c := serving(t, event.NewBus())
	data := strings.Repeat("x", 1<<20)
	for name, want := range map[string]string{"os": `"raw_size":1048576`, "x": `"code":2`} {
		status, body := ask(t, c, "POST", "/v1/images?name="+name, data)
		lines := strings.Split(strings.TrimSpace(body), "\n")
		if status != 200 || len(lines) != 2 || lines[0] != `{"read":1048576}` || !strings.Contains(lines[1], want) {
			t.Errorf("%s: %d %q", name, status, lines)
		}
	}
}

func TestEvents(t *testing.T) {
	bus := event.NewBus()
	first := bus.Publish(event.Event{Kind: event.Alarm, Message: "one", Run: "r"})
	bus.Publish(event.Event{Kind: event.Alarm, Message: "two"})
	c := serving(t, bus)
	for query, want := range map[string]int{"": 2, "?run=r": 1, fmt.Sprintf("?after=%d", first.ID): 1} {
		if _, body := ask(t, c, "GET", "/v1/events"+query, ""); strings.Count(body, "\n") != want {
			t.Errorf("%q: %q, want %d lines", query, body, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://racker/v1/events?follow=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for i, want := range []string{"one", "two", "three"} {
		if i == 2 {
			bus.Publish(event.Event{Kind: event.Alarm, Message: "three"})
		}
		var e event.Event
		if err := dec.Decode(&e); err != nil || e.Message != want {
			t.Fatalf("%+v %v, want %s", e, err, want)
		}
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "racker.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	a := newAPI(path, event.NewBus())
	if err := a.Listen(t.Context()); err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	t.Cleanup(func() { _ = a.listener.Close() }) // the test's own
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := newAPI(path, nil).Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "another racker") {
		t.Errorf("a second listener: %v", err)
	}
	foreign := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newAPI(foreign, nil).Listen(t.Context()); err == nil {
		t.Error("a foreign file was taken for a socket")
	}
	if b, err := os.ReadFile(foreign); err != nil || !bytes.Equal(b, []byte("mine")) {
		t.Errorf("the foreign file: %q %v", b, err)
	}
}
