package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

func TestOrders(t *testing.T) {
	t.Parallel()
	type client = *api.Client
	run, done := api.RunView{ID: "r1"}, api.OrderView{Message: "done", Changed: true}
	answered := api.Answer{Node: "n1", Answer: "retry"}
	again := api.Reprovision{Image: "os", OnFailure: "cancel", Retries: 2}
	boot, power, parts := api.BootOrder{Target: "disk"}, api.PowerOrder{Power: "off", Hard: true}, api.Replace{Primary: "a"}
	for uri, tt := range map[string]struct {
		call   func(context.Context, client) (any, error)
		body   any // nil: none
		answer any
	}{
		"POST /v1/runs/r%2F1/answer":     {func(ctx context.Context, c client) (any, error) { return c.Answer(ctx, "r/1", answered) }, answered, run},
		"POST /v1/nodes/n1/reprovision":  {func(ctx context.Context, c client) (any, error) { return c.Reprovision(ctx, "n1", again) }, again, run},
		"POST /v1/nodes/n1/boot":         {func(ctx context.Context, c client) (any, error) { return c.Boot(ctx, "n1", boot) }, boot, run},
		"POST /v1/nodes/n1/power":        {func(ctx context.Context, c client) (any, error) { return c.Power(ctx, "n1", power) }, power, done},
		"POST /v1/nodes/n1/replace":      {func(ctx context.Context, c client) (any, error) { return c.Replace(ctx, "n1", parts) }, parts, done},
		"POST /v1/nodes/a%20b/exclude":   {func(ctx context.Context, c client) (any, error) { return c.Exclude(ctx, "a b") }, nil, done},
		"POST /v1/nodes/n1/include":      {func(ctx context.Context, c client) (any, error) { return c.Include(ctx, "n1") }, nil, done},
		"POST /v1/nodes/n1/adopt":        {func(ctx context.Context, c client) (any, error) { return c.Adopt(ctx, "n1") }, nil, done},
		"POST /v1/rack/reload":           {func(ctx context.Context, c client) (any, error) { return c.Reload(ctx) }, nil, api.ReloadView{Added: []string{"n9"}}},
		"GET /v1/audit":                  {func(ctx context.Context, c client) (any, error) { return c.Audit(ctx) }, nil, api.AuditView{Broken: "at 3"}},
		"POST /v1/nodes/10.0.0.1/adopt":  {func(ctx context.Context, c client) (any, error) { return c.Adopt(ctx, "10.0.0.1") }, nil, done},
		"POST /v1/nodes/%C3%A4%3F/adopt": {func(ctx context.Context, c client) (any, error) { return c.Adopt(ctx, "ä?") }, nil, done},
	} {
		t.Run(uri, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				sent, err := io.ReadAll(r.Body)
				var want []byte
				if tt.body != nil && err == nil {
					want, err = json.Marshal(tt.body)
				}
				if r.Method+" "+r.RequestURI != uri || err != nil || string(sent) != string(want) {
					t.Errorf("sent %s %s %q, want %q, %v", r.Method, r.RequestURI, sent, want, err)
				}
				answer(t, w, tt.answer)
			})
			got, err := tt.call(t.Context(), c)
			if d := cmp.Diff(tt.answer, got); d != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
		})
	}
}

func TestWithCaller(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 5000)
	for _, tt := range []struct {
		command    []string
		sudo, want string
	}{
		{nil, "", ""},
		{[]string{"racker", "node", "exclude", "n1"}, "ann", "racker node exclude n1"},
		{[]string{"racker", "--comment", "new board, it's \"blue\"\n", ""}, "", `racker --comment 'new board, it'\''s "blue"` + "\n' ''"},
		{[]string{"racker", long}, "x\ny", "racker " + strings.Repeat("ä", 2044) + " ..."},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			command, err := url.PathUnescape(r.Header.Get(api.CommandHeader))
			if err != nil || command != tt.want {
				t.Errorf("%q: %q, %v, want %q", tt.command, command, err, tt.want)
			}
			sudo, err := url.PathUnescape(r.Header.Get(api.SudoUserHeader))
			if err != nil || sudo != tt.sudo {
				t.Errorf("%q: %q, %v", tt.sudo, sudo, err)
			}
			answer(t, w, api.OrderView{})
		})
		if _, err := c.WithCaller(tt.command, tt.sudo).Adopt(t.Context(), "n1"); err != nil {
			t.Error(err)
		}
	}
}

func TestCallerIsNotTheOriginals(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(api.CommandHeader) != "" {
			t.Error("the original tells a caller")
		}
		answer(t, w, api.RackView{})
	})
	c.WithCaller([]string{"x"}, "y")
	if _, err := c.Rack(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/v1/events?after=7&follow=1&node=n+1&run=r1" {
			t.Errorf("asked for %s", r.RequestURI)
		}
		answer(t, w, event.Event{ID: 9, Kind: api.EventGap})
		answer(t, w, event.Event{ID: 10, Kind: event.Alarm})
		answer(t, w, event.Event{ID: 10, Kind: api.EventEnd})
		answer(t, w, event.Event{ID: 11, Kind: event.Alarm})
	})
	var got []uint64
	for e, err := range c.Stream(t.Context(), api.EventQuery{Follow: true, After: 7, Run: "r1", Node: "n 1"}) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, e.ID)
	}
	if d := cmp.Diff([]uint64{9, 10}, got); d != "" {
		t.Error(d)
	}
}

func TestReadSocket(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/run/racker/racker.sock": "/run/racker/racker-read.sock",
		"/tmp/r.d/socket":         "/tmp/r.d/socket-read",
	} {
		if got := api.ReadSocket(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
