package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// TestClientScripts runs testdata/client/*.txtar, with the command line as a client of the real API. Besides testscript's
// own commands they have
//
//	code N racker ARGS...   racker ends with exit code N
//	daemon SCENARIO         a daemon answers for a rack of scenario_test.go at RACKER_SOCKET
//	submitted FILE          what was submitted last is written to FILE as JSON
//	configs MAC FILE        what was declared of a node last is written to FILE as JSON
//	orders FILE             the orders to single nodes so far are those in FILE
//
// and the condition [root].
func TestClientScripts(t *testing.T) {
	t.Parallel()
	racks := &scriptRacks{racks: map[*testscript.TestScript]*testRack{}}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/client",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("RACKER_SOCKET", filepath.Join(env.WorkDir, "racker.sock"))
			settings := filepath.Join(env.WorkDir, ".racker.yaml")
			env.Setenv("RACKER_CONFIG", settings)
			return os.WriteFile(settings, []byte(namesNowhere), 0o600)
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("condition %q", name)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "daemon": racks.daemon, "submitted": racks.request,
			"orders": racks.orders, "installed": racks.installed, "state": racks.nodeState, "configs": racks.configs,
		},
	})
}

// scriptRacks remembers the rack of each script.
type scriptRacks struct {
	mu    sync.Mutex
	racks map[*testscript.TestScript]*testRack
}

func (s *scriptRacks) daemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: daemon SCENARIO")
	}
	r := scenarios()[args[0]]
	if r == nil {
		ts.Fatalf("no scenario %q", args[0])
	}
	r.images = []api.ImageView{{ID: "0123456789abcdef", Name: "flatcar", RawSize: 8 << 30, UsedSize: 2 << 30, StoredSize: 500 << 20,
		SHA256: "0123456789abcdef", Added: testTime()}}
	r.oem = filepath.Join(ts.Getenv("WORK"), "oem")
	bus := event.NewBus()
	for i, e := range []event.Event{
		{Kind: event.DHCPSeen, Node: "52:54:00:00:00:01", Run: "run-1", Message: "ACK", Fields: map[string]string{"ip": "172.24.213.2", "mac": "52:54:00:00:00:01"}},
		{Kind: event.Alarm, Message: "a second key\tfor one token"},
	} {
		e.Time = testTime().Add(time.Duration(i) * time.Second)
		bus.Publish(e)
	}
	_, done, err := startDaemon(ts.Getenv("WORK"), r, bus)
	ts.Check(err)
	ts.Defer(func() {
		if err := done(); err != nil {
			ts.Logf("daemon: %v", err)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.racks[ts] = r
}

func (s *scriptRacks) request(ts *testscript.TestScript, neg bool, args []string) {
	s.mu.Lock()
	r := s.racks[ts]
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if neg {
		if len(r.submitted) > 0 {
			ts.Fatalf("a run was submitted: %+v", r.submitted)
		}
		return
	}
	if len(args) != 1 || len(r.submitted) == 0 {
		ts.Fatalf("%s", fmt.Sprintf("submitted %v: there are %d runs", args, len(r.submitted)))
	}
	req := r.submitted[len(r.submitted)-1]
	req.CommandLineForAudit = "" // it has the path of the test program
	b, err := json.MarshalIndent(req, "", "  ")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(b, '\n'), 0o600))
}

func (s *scriptRacks) configs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: configs MAC FILE")
	}
	s.mu.Lock()
	r := s.racks[ts]
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.configs[args[0]]
	if !ok {
		ts.Fatalf("nothing is declared of %s", args[0])
	}
	b, err := json.MarshalIndent(v.Wanted, "", "  ")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), append(b, '\n'), 0o600))
}

func (s *scriptRacks) orders(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: orders FILE")
	}
	s.mu.Lock()
	r := s.racks[ts]
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	want := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	slices.Sort(want) // orders to several nodes come in any order
	if d := cmp.Diff(want, slices.Sorted(slices.Values(r.orders))); d != "" {
		ts.Fatalf("orders (-want +got):\n%s", d)
	}
}
