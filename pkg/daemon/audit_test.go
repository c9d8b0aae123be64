package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func TestEveryOrderIsAudited(t *testing.T) {
	a, c := serving(t, event.NewBus())
	books := a.Audit.(*book)
	for _, test := range []struct {
		method, path, body string
		want               []api.AuditEntry // without Seq, Of and UID
	}{
		{"POST", "/v1/runs", `{"image":"os"}`, []api.AuditEntry{
			{Plan: digest(`{"image":"os"}`), Result: "begun"}, {Plan: digest(`{"image":"os"}`), Result: "ok", Run: "run-of-os"},
		}},
		{"POST", "/v1/runs", `{"imgae":"os"}`, []api.AuditEntry{
			{Plan: digest(`{"imgae":"os"}`), Result: "begun"},
			{Plan: digest(`{"imgae":"os"}`), Result: `body of the request: unknown field "imgae"`},
		}},
		{"POST", "/v1/runs/r/cancel", "", []api.AuditEntry{{Run: "r", Result: "begun"}, {Run: "r", Result: "ok"}}},
		{"POST", "/v1/nodes/x/adopt", "", []api.AuditEntry{{Result: "begun"}, {Result: "no such thing"}}},
		{"POST", "/v1/nodes/unfenced/exclude", "", []api.AuditEntry{{Result: "begun"}, {Result: "not fenced: its BMC is silent"}}},
		{"POST", "/v1/nodes/panic/adopt", "", []api.AuditEntry{
			{Result: "begun"}, {Result: "internal error at POST /v1/nodes/panic/adopt; the daemon's log says more"},
		}},
		{"DELETE", "/v1/images/x", "", []api.AuditEntry{{Result: "begun"}, {Result: "in use"}}},
		{"POST", "/v1/images?name=os", "data", []api.AuditEntry{{Result: "begun"}, {Plan: digest("data"), Result: "ok"}}},
		{"POST", "/v1/images?name=x", "data", []api.AuditEntry{{Result: "begun"}, {Plan: digest("data"), Result: "no such thing"}}},
		{"POST", "/v1/nothing", "", []api.AuditEntry{{Result: "begun"}, {Result: "there is nothing at /v1/nothing"}}},
		{"PUT", "/v1/runs", "", []api.AuditEntry{{Result: "begun"}, {Result: "/v1/runs does not take PUT"}}},
		{"POST", "/v1/runs", strings.Repeat(" ", maxRequest+1), []api.AuditEntry{
			{Result: fmt.Sprintf("the body has more than %d bytes", maxRequest)},
		}},
		{"GET", "/v1/nodes/x", "", nil},
		{"GET", "/v1/state", "", []api.AuditEntry{{Result: "begun"}, {Result: "ok"}}},
		{"GET", "/v1/state?file=x", "", []api.AuditEntry{{Result: "begun"}, {Result: "no such thing"}}},
	} {
		before := len(books.entries)
		ask(t, c, test.method, test.path, test.body)
		for i := range test.want {
			w := &test.want[i]
			w.Seq, w.UID, w.Order = uint64(before+i+1), os.Getuid(), test.method+" "+test.path
			if i == 1 {
				w.Of = w.Seq - 1
			}
		}
		if d := cmp.Diff(test.want, append([]api.AuditEntry(nil), books.entries[before:]...)); d != "" {
			t.Errorf("%s %s: (-want +got)\n%s", test.method, test.path, d)
		}
	}
}

func TestAuditKnowsTheCaller(t *testing.T) {
	a, c := serving(t, event.NewBus())
	if _, err := api.NewClient(a.Path).WithCaller([]string{"racker", "node", "adopt", "n 1"}, "ann").Adopt(t.Context(), "n 1"); err != nil {
		t.Fatal(err)
	}
	_, body := ask(t, c, "GET", "/v1/audit", "")
	var v api.AuditView
	if err := json.Unmarshal([]byte(body), &v); err != nil || len(v.Entries) != 2 {
		t.Fatal(body, err)
	}
	for _, e := range v.Entries {
		if e.Command != "racker node adopt 'n 1'" || e.SudoUser != "ann" || e.UID != os.Getuid() || e.Order != "POST /v1/nodes/n%201/adopt" {
			t.Errorf("%+v", e)
		}
	}
}

// An order that cannot be audited is not carried out; one whose result cannot be is done, and its caller hears so.
func TestAuditThatIsFull(t *testing.T) {
	books := &book{}
	a := newAPI(t.TempDir()+"/racker.sock", event.NewBus())
	a.Audit, a.Images = books, fills{books: books}
	started(t, a)
	c := dialling(t, a.Path)
	books.fill(true)
	status, body := ask(t, c, "POST", "/v1/images?name=os", "data")
	if status != http.StatusInternalServerError || !strings.Contains(body, "nothing was done, since the audit cannot be written: disk full") {
		t.Errorf("%d %s", status, body)
	}
	books.fill(false)
	if status, body := ask(t, c, "DELETE", "/v1/images/os", ""); status != http.StatusOK || body != "{}\n" {
		t.Errorf("%d %s", status, body)
	}
	if len(books.entries) != 1 || books.entries[0].Result != api.AuditBegun {
		t.Errorf("%+v", books.entries)
	}
}

// fills is a library whose orders fill the disk that the audit is on.
type fills struct {
	clerk
	books *book
}

func (f fills) Remove(context.Context, string, bool) error {
	f.books.fill(true)
	return nil
}
