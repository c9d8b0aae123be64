package daemon

import (
	"net/http"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

func TestRoutes(t *testing.T) {
	_, c := serving(t, event.NewBus())
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/rack", "", 200, `"nodes":3`},
		{"GET", "/v1/nodes", "", 200, "refresh-false"},
		{"GET", "/v1/nodes?refresh=1", "", 200, "refresh-true"},
		{"GET", "/v1/nodes?refresh", "", 200, "refresh-true"},
		{"GET", "/v1/nodes?refresh=0", "", 200, "refresh-false"},
		{"GET", "/v1/nodes?refresh=maybe", "", 400, `"code":2`},
		{"GET", "/v1/nodes/a%2Fb", "", 200, `"name":"a/b"`},
		{"GET", "/v1/nodes/x", "", 404, `{"message":"no such thing","code":2}`},
		{"GET", "/v1/nodes/panic", "", 500, `"code":1`},
		{"POST", "/v1/runs", `{"image":"os"}`, 200, `"id":"run-of-os"`},
		{"POST", "/v1/runs", `{"imgae":"os"}`, 400, `"code":2`},
		{"POST", "/v1/runs", `{"image":"os"} {}`, 400, `"code":2`},
		{"POST", "/v1/runs", `{`, 400, `"code":2`},
		{"POST", "/v1/runs", ``, 400, `"code":2`},
		{"POST", "/v1/runs", `{"image":"` + strings.Repeat("x", maxRequest) + `"}`, 413, `"code":2`},
		{"GET", "/v1/runs", "", 200, `"id":"r"`},
		{"GET", "/v1/runs/r", "", 200, `"id":"r"`},
		{"GET", "/v1/runs/x", "", 404, `"code":2`},
		{"POST", "/v1/runs/r/cancel", "", 200, `"id":"r"`},
		{"POST", "/v1/runs/x/cancel", "", 404, `"code":2`},
		{"POST", "/v1/runs/r/answer", `{"answer":"retry"}`, 200, `"id":"r"`},
		{"POST", "/v1/runs/x/answer", `{"answer":"retry"}`, 404, `"code":2`},
		{"POST", "/v1/nodes/n/reprovision", `{"image":"os","on_failure":"cancel","retries":0}`, 200, `"id":"run-of-os"`},
		{"POST", "/v1/nodes/n/boot", `{"target":"disk"}`, 200, `"id":"run-of-none"`},
		{"POST", "/v1/nodes/n/power", `{"power":"off"}`, 200, `"message":"power off"`},
		{"POST", "/v1/nodes/n/power", `{"power":true}`, 400, `"code":2`},
		{"POST", "/v1/nodes/x/power", `{"power":"off"}`, 404, `"code":2`},
		{"POST", "/v1/nodes/panic/power", `{"power":"off"}`, 500, `"code":1`},
		{"POST", "/v1/nodes/n/replace", `{"primary":"52:54:00:00:00:02"}`, 200, `primary 52:54:00:00:00:02`},
		{"POST", "/v1/nodes/n/exclude", "", 200, `"message":"excluded"`},
		{"POST", "/v1/nodes/n/include", "", 200, `"message":"included"`},
		{"POST", "/v1/nodes/n/adopt", "", 200, `"message":"adopted"`},
		{"POST", "/v1/rack/reload", "", 200, `"added":["node-4"]`},
		{"GET", "/v1/leases", "", 200, `"role":"server"`},
		{"GET", "/v1/images", "", 200, `"id":"abc"`},
		{"DELETE", "/v1/images/os", "", 200, "{}"},
		{"DELETE", "/v1/images/os?unused=maybe", "", 400, `"code":2`},
		{"PATCH", "/v1/images/os", `{"profile":"plain"}`, 200, `"profile":"plain"`},
		{"PATCH", "/v1/images/os", `{"name":"plain"}`, 400, `"code":2`},
		{"PATCH", "/v1/images/x", `{"profile":"plain"}`, 404, `"code":2`},
		{"GET", "/v1/images/os/verify", "", 200, `"read":7`},
		{"GET", "/v1/images/x/verify", "", 200, `"code":2`},
		{"POST", "/v1/pulls", `{"os":"flatcar"}`, 200, `"id":"p"`},
		{"POST", "/v1/pulls", `{"os":"x"}`, 404, `"code":2`},
		{"GET", "/v1/pulls", "", 200, `"id":"p"`},
		{"GET", "/v1/pulls/q", "", 200, `"id":"q"`},
		{"GET", "/v1/pulls/x", "", 404, `"code":2`},
		{"POST", "/v1/pulls/q/cancel", "", 200, `"id":"q"`},
		{"POST", "/v1/pulls/x/cancel", "", 404, `"code":2`},
		{"DELETE", "/v1/images/x", "", 409, `{"message":"in use","code":5}`},
		{"GET", "/v1/events?after=-1", "", 400, `"code":2`},
		{"GET", "/v1/events?after=one", "", 400, `"code":2`},
		{"GET", "/v1/events?run=x", "", 404, `"code":2`},
		{"GET", "/v1/events?node=x", "", 404, `"code":2`},
		{"GET", "/v1/state", "", 200, `{"key":"secret"}`},
		{"GET", "/v1/state?file=x", "", 404, `"code":2`},
		{"GET", "/v1/nothing", "", 404, `"code":2`},
		{"POST", "/v1/nothing", "", 404, `"code":2`},
		{"PUT", "/v1/runs", "", 405, `"message":"/v1/runs does not take PUT"`},
		{"HEAD", "/v1/rack", "", 200, ""},
	} {
		status, body := ask(t, c, test.method, test.path, test.body)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, status, body, test.status, test.want)
		}
	}
}

func TestWithoutOrders(t *testing.T) {
	a := newAPI(t.TempDir()+"/racker.sock", event.NewBus())
	a.Orders, a.Audit, a.State = nil, nil, nil
	started(t, a)
	c := dialling(t, a.Path)
	for path, body := range map[string]string{"/v1/nodes/n/adopt": "", "/v1/rack/reload": "", "/v1/runs/r/answer": `{"answer":"retry"}`} {
		if status, body := ask(t, c, "POST", path, body); status != http.StatusServiceUnavailable || !strings.Contains(body, "takes no orders") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := ask(t, c, "GET", "/v1/state", ""); status != http.StatusServiceUnavailable {
		t.Errorf("state: %d %s", status, body)
	}
	if status, body := ask(t, c, "GET", "/v1/audit", ""); status != http.StatusOK || body != "{\"entries\":[]}\n" {
		t.Errorf("audit: %d %s", status, body)
	}
}

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		err  api.Error
		want int
	}{
		{api.Error{Code: 1}, 500},
		{api.Error{Code: 2}, 400},
		{api.Error{Code: 2, Status: 404}, 404},
		{api.Error{Code: 3}, 500},
		{api.Error{Code: 4}, 409},
		{api.Error{Code: 5}, 409},
		{api.Error{Code: 6}, 502},
	} {
		if got := status(&test.err); got != test.want {
			t.Errorf("%+v: %d, want %d", test.err, got, test.want)
		}
	}
}

func TestAddImage(t *testing.T) {
	_, c := serving(t, event.NewBus())
	data := strings.Repeat("x", 1<<20)
	for name, want := range map[string]string{"os": `"raw_size":1048576`, "x": `"code":2`} {
		status, body := ask(t, c, "POST", "/v1/images?name="+name, data)
		lines := strings.Split(strings.TrimSpace(body), "\n")
		if status != 200 || len(lines) != 2 || lines[0] != `{"read":1048576}` || !strings.Contains(lines[1], want) {
			t.Errorf("%s: %d %q", name, status, lines)
		}
	}
}
