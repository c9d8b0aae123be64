package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// serve answers on a unix socket of its own.
func serve(t *testing.T, h http.HandlerFunc) *api.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return api.NewClient(socket)
}

func answer(t *testing.T, w http.ResponseWriter, v any) {
	t.Helper()
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	node, run := api.NodeView{Name: "node-1", State: "ready"}, api.RunView{ID: "r1", State: "running"}
	image, lease := api.ImageView{ID: "abc", Name: "os"}, api.LeaseView{Address: "172.24.213.2", Role: "server"}
	rack := api.RackView{Network: "172.24.213.0/24", Nodes: 4}
	req := api.RunRequest{Provision: "image", Image: "os", OnFailure: "retry", Retries: 3}
	tests := map[string]struct {
		call   func(context.Context, *api.Client) (any, error)
		method string
		uri    string
		answer any
	}{
		"rack": {func(ctx context.Context, c *api.Client) (any, error) { return c.Rack(ctx) }, "GET", "/v1/rack", rack},
		"nodes": {func(ctx context.Context, c *api.Client) (any, error) { return c.Nodes(ctx, false) },
			"GET", "/v1/nodes", []api.NodeView{node}},
		"nodes refreshed": {func(ctx context.Context, c *api.Client) (any, error) { return c.Nodes(ctx, true) },
			"GET", "/v1/nodes?refresh=1", []api.NodeView{node}},
		"node by an odd word": {func(ctx context.Context, c *api.Client) (any, error) { return c.Node(ctx, "a/b ?c") },
			"GET", "/v1/nodes/a%2Fb%20%3Fc", node},
		"submit": {func(ctx context.Context, c *api.Client) (any, error) { return c.SubmitRun(ctx, req) }, "POST", "/v1/runs", run},
		"runs":   {func(ctx context.Context, c *api.Client) (any, error) { return c.Runs(ctx) }, "GET", "/v1/runs", []api.RunView{run}},
		"run":    {func(ctx context.Context, c *api.Client) (any, error) { return c.Run(ctx, "r1") }, "GET", "/v1/runs/r1", run},
		"cancel": {func(ctx context.Context, c *api.Client) (any, error) { return c.CancelRun(ctx, "r1") },
			"POST", "/v1/runs/r1/cancel", run},
		"images": {func(ctx context.Context, c *api.Client) (any, error) { return c.Images(ctx) },
			"GET", "/v1/images", []api.ImageView{image}},
		"leases": {func(ctx context.Context, c *api.Client) (any, error) { return c.Leases(ctx) },
			"GET", "/v1/leases", []api.LeaseView{lease}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != tt.method || r.RequestURI != tt.uri {
					t.Errorf("asked for %s %s, want %s %s", r.Method, r.RequestURI, tt.method, tt.uri)
				}
				if tt.uri == "/v1/runs" && r.Method == http.MethodPost {
					var got api.RunRequest
					if err := json.NewDecoder(r.Body).Decode(&got); err != nil || !cmp.Equal(req, got) {
						t.Errorf("sent %+v (%v), want %+v", got, err, req)
					}
				}
				answer(t, w, tt.answer)
			})
			got, err := tt.call(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.answer, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestRemoveImage(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete || r.RequestURI != "/v1/images/os" {
			t.Errorf("asked for %s %s", r.Method, r.RequestURI)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.RemoveImage(t.Context(), "os"); err != nil {
		t.Error(err)
	}
}

func TestServerErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		want   api.Error
	}{
		"ours": {http.StatusConflict, `{"message":"node-9: no such node","hint":"racker node list","code":2}`,
			api.Error{Message: "node-9: no such node", Hint: "racker node list", Code: 2}},
		"without a code": {http.StatusInternalServerError, `{"message":"disk full"}`, api.Error{Message: "disk full", Code: 1}},
		"not JSON":       {http.StatusNotFound, "404 page not found\n", api.Error{Message: "GET /v1/nodes/x: 404 Not Found: 404 page not found", Code: 1}},
		"other JSON":     {http.StatusBadGateway, `{"a":1}`, api.Error{Message: `GET /v1/nodes/x: 502 Bad Gateway: {"a":1}`, Code: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := c.Node(t.Context(), "x")
			var got *api.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want an api.Error", err)
			}
			tt.want.Status = tt.status
			if d := cmp.Diff(tt.want, *got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if api.Unreachable(err) {
				t.Error("a refusal counts as unreachable")
			}
		})
	}
}

func TestBadAnswer(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[{") })
	if _, err := c.Nodes(t.Context(), false); err == nil || !strings.Contains(err.Error(), "GET /v1/nodes") {
		t.Errorf("half an answer gave %v", err)
	}
}

func TestNoDaemon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, socket := range map[string]string{"missing": filepath.Join(dir, "none"), "left behind": dead, "a file": file} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := api.NewClient(socket).Rack(t.Context())
			var got *api.Error
			if !errors.As(err, &got) || !api.Unreachable(err) {
				t.Fatalf("got %v, want an api.Error that is unreachable", err)
			}
			want := api.Error{Message: "no racker daemon answers at " + socket, Hint: "racker serve", Code: 1}
			if d := cmp.Diff(want, *got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestBrokenOff(t *testing.T) {
	t.Parallel()
	c := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := c.Rack(t.Context()); !api.Unreachable(err) || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Rack(ctx); !errors.Is(err, context.Canceled) || api.Unreachable(err) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if want := "/v1/events?after=7&follow=1&run=r+1"; r.RequestURI != want {
			t.Errorf("asked for %s, want %s", r.RequestURI, want)
		}
		answer(t, w, event.Event{ID: 8, Kind: event.Alarm, Message: "first"})
		_ = http.NewResponseController(w).Flush()
		<-release // the second comes only after the first was seen
		answer(t, w, event.Event{ID: 9, Kind: event.Alarm, Message: "second", Fields: map[string]string{"mac": "x"}})
	})
	var got []string
	for e, err := range c.Events(t.Context(), true, 7, "r 1") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d%s%s", e.ID, e.Message, e.Fields["mac"]))
		if len(got) == 1 {
			close(release)
		}
	}
	if d := cmp.Diff([]string{"8first", "9secondx"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEventsEnd(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("follow") {
			for r.Context().Err() == nil {
				if json.NewEncoder(w).Encode(event.Event{Message: "again"}) != nil || http.NewResponseController(w).Flush() != nil {
					break
				}
			}
			close(left)
			return
		}
		_, _ = io.WriteString(w, `{"id":1,"message":"whole"}`+"\n"+`{"id":2,`)
	})
	seen, broken := 0, error(nil)
	for _, err := range c.Events(t.Context(), false, 0, "") {
		if err != nil {
			broken = err
			break
		}
		seen++
	}
	if seen != 1 || !api.Unreachable(broken) {
		t.Errorf("a stream cut in an event gave %d events and %v", seen, broken)
	}
	for range c.Events(t.Context(), true, 0, "") {
		break
	}
	select {
	case <-left: // leaving the loop closes the stream
	case <-time.After(20 * time.Second):
		t.Error("the server still sends to a reader that left")
	}
}

func TestAddImage(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("image ", 200_000)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if want := "/v1/images?name=os&sha256=ab"; r.RequestURI != want {
			t.Errorf("asked for %s, want %s", r.RequestURI, want)
		}
		ctl := http.NewResponseController(w)
		if err := ctl.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		first := make([]byte, 1000)
		if _, err := io.ReadFull(r.Body, first); err != nil {
			t.Error(err)
		}
		answer(t, w, api.ImageAddLine{Read: 1000})
		_ = ctl.Flush()
		rest, err := io.ReadAll(r.Body)
		if err != nil || string(first)+string(rest) != content {
			t.Errorf("%d bytes came (%v)", len(first)+len(rest), err)
		}
		answer(t, w, api.ImageAddLine{Image: &api.ImageView{ID: "abc", RawSize: int64(len(content))}})
	})
	var progress []int64
	got, err := c.AddImage(t.Context(), api.ImageAdd{Name: "os", SHA256: "ab"}, strings.NewReader(content), func(n int64) { progress = append(progress, n) })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(api.ImageView{ID: "abc", RawSize: int64(len(content))}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]int64{1000}, progress); d != "" {
		t.Errorf("progress (-want +got):\n%s", d)
	}
}

// endless never ends, as an image that is far larger than the disk that it goes to.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// The daemon's reason is read even though it stopped reading long before the file's end.
func TestAddImageRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		early bool // a plain error answer instead of a line
		read  int64
	}{"at once": {true, 0}, "in the middle": {false, 1 << 20}, "before the first byte": {false, 0}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				why := api.Error{Message: "no room", Code: 1}
				if tt.early {
					w.WriteHeader(http.StatusInternalServerError)
					answer(t, w, why)
					return
				}
				if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
					t.Error(err)
				}
				if _, err := io.CopyN(io.Discard, r.Body, tt.read); err != nil {
					t.Error(err)
				}
				answer(t, w, api.ImageAddLine{Error: &why})
			})
			for range 20 { // a race between the answer and the broken pipe would show
				_, err := c.AddImage(t.Context(), api.ImageAdd{}, endless{}, func(int64) {})
				var got *api.Error
				if !errors.As(err, &got) || got.Message != "no room" || got.Code != 1 {
					t.Fatalf("got %v, want the daemon's reason", err)
				}
			}
		})
	}
}

func TestAddImageCutOff(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(t, w, api.ImageAddLine{Read: 1})
	})
	if _, err := c.AddImage(t.Context(), api.ImageAdd{}, strings.NewReader(""), func(int64) {}); !api.Unreachable(err) {
		t.Errorf("an answer without an end gave %v", err)
	}
}
