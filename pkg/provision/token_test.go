package provision

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// armed gives a machine whose node-1 waits for a network boot.
func armed(t *testing.T) (*world, *Machine, *server) {
	t.Helper()
	w := newWorld(t)
	m := w.start(nil)
	by := newRun(&runRecord{ID: "run-1", State: runRunning, Request: api.RunRequest{Provision: provisionImage, Shown: shownD()}})
	by.driven = true // by this test
	m.mu.Lock()
	m.runs["run-1"] = by
	m.mu.Unlock()
	for _, to := range []State{CheckingBMC, Powering, Netbooting} {
		err := m.transition(t.Context(), mac(2), to, func(r *Record) error {
			r.Run = "run-1"
			r.Job = &Job{ID: "job-1", Kind: api.JobInstall, Image: w.image.ID, Steps: jobSteps(false), Callback: "cb"}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return w, m, w.servers[mac(2)]
}

// diskD is what an agent by hand finds; shownD is a request's word that node-1 may be erased when it does.
func diskD() api.DiskResult {
	return api.DiskResult{Disk: api.Disk{Path: "/dev/vda", Serial: "D"}, Matched: 1}
}

func shownD() map[string]string {
	d := diskD()
	return map[string]string{mac(2).String(): d.Digest()}
}

// token makes a network boot and asks for its script.
func token(t *testing.T, m *Machine) string {
	t.Helper()
	if err := m.NetworkBoot(t.Context(), mac(2)); err != nil {
		t.Fatal(err)
	}
	script, err := m.BootScript(t.Context(), query())
	if err != nil {
		t.Fatal(err)
	}
	found := tokenArg.FindStringSubmatch(script)
	if found == nil {
		t.Fatalf("no token in %s", script)
	}
	return found[1]
}

func query() bootd.BootQuery {
	return bootd.BootQuery{From: (&world{}).addr(2), MAC: mac(2), Platform: "pcbios"}
}

func TestTokenIsGivenOncePerDHCPBoot(t *testing.T) {
	_, m, _ := armed(t)
	if _, err := m.BootScript(t.Context(), query()); !errors.Is(err, bootd.ErrRefused) {
		t.Errorf("before any DHCP boot: %v", err)
	}
	first := token(t, m)
	if _, err := m.BootScript(t.Context(), query()); !errors.Is(err, bootd.ErrRefused) {
		t.Errorf("asked again: %v", err)
	}
	if second := token(t, m); second == first {
		t.Error("two network boots got the same token")
	}
}

func TestTokenOnlyForTheNodeItself(t *testing.T) {
	w, m, _ := armed(t)
	if err := m.NetworkBoot(t.Context(), mac(2)); err != nil {
		t.Fatal(err)
	}
	q := query()
	q.MAC = mac(9)
	if _, err := m.BootScript(t.Context(), q); !errors.Is(err, bootd.ErrRefused) {
		t.Errorf("another MAC in the query: %v", err)
	}
	m.needs.Neighbours = liar{}
	if _, err := m.BootScript(t.Context(), query()); !errors.Is(err, bootd.ErrRefused) {
		t.Errorf("another MAC behind the address: %v", err)
	}
	q = query()
	q.From = w.addr(200)
	if _, err := m.BootScript(t.Context(), q); !errors.Is(err, bootd.ErrUnknown) {
		t.Errorf("an address of the pool: %v", err)
	}
	if n := alarms(w); n != 3 {
		t.Errorf("%d alarms, want 3", n)
	}
}

// liar is a network in which somebody else has the node's address.
type liar struct{}

func (liar) Neighbour(context.Context, addrT) (rack.MAC, error) { return mac(66), nil }

func alarms(w *world) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	stream := w.bus.Subscribe(ctx, 0)
	for {
		select {
		case e := <-stream:
			if e.Kind == event.Alarm {
				n++
			}
		default:
			return n
		}
	}
}

func TestSecondKeyStopsTheJob(t *testing.T) {
	w, m, s := armed(t)
	tok := token(t, m)
	first := s.peer(w.addr(2), "first")
	for range 2 { // a lost reply: the same key may come again
		a, err := m.CheckIn(t.Context(), first, s.checkIn(tok))
		if err != nil || a.Job == nil || a.Job.ID != "job-1" {
			t.Fatalf("check-in: %+v, %v", a, err)
		}
	}
	if _, err := m.CheckIn(t.Context(), s.peer(w.addr(2), "second"), s.checkIn(tok)); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("a second key: %v", err)
	}
	_, rec := m.node(mac(2))
	if rec.State != Failed || rec.Job != nil || alarms(w) != 1 {
		t.Errorf("state %s, job %v, %d alarms", rec.State, rec.Job, alarms(w))
	}
	if _, err := m.Blob(t.Context(), first, "job-1", api.BlobIgnition); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("the first key still gets the Ignition: %v", err)
	}
}

func TestWrongTokensAndPeers(t *testing.T) {
	w, m, s := armed(t)
	old := token(t, m)
	tok := token(t, m)
	p := s.peer(w.addr(2), "k")
	if _, err := m.CheckIn(t.Context(), p, s.checkIn(old)); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("the token of an earlier boot: %v", err)
	}
	if _, err := m.CheckIn(t.Context(), p, s.checkIn("")); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("no token: %v", err)
	}
	if _, err := m.CheckIn(t.Context(), s.peer(w.addr(3), "k"), s.checkIn(tok)); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("another node's address: %v", err)
	}
	if _, err := m.CheckIn(t.Context(), s.peer(w.addr(200), "k"), s.checkIn(tok)); !errors.Is(err, bootd.ErrUnknown) {
		t.Errorf("an unknown address: %v", err)
	}
	for _, job := range []string{"job-1", "job-2", ""} {
		if _, err := m.Report(t.Context(), p, job, 0, api.StepReport{State: api.StepDone}); !errors.Is(err, bootd.ErrSession) {
			t.Errorf("a report to %q without a session: %v", job, err)
		}
	}
}

func TestReportsMayBeRepeated(t *testing.T) {
	w, m, s := armed(t)
	tok := token(t, m)
	p := s.peer(w.addr(2), "k")
	if _, err := m.CheckIn(t.Context(), p, s.checkIn(tok)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if reply, err := m.Report(t.Context(), p, "job-1", 0, api.StepReport{State: api.StepDone}); err != nil || reply.Stop {
			t.Fatalf("%+v %v", reply, err)
		}
	}
	if reply, err := m.Report(t.Context(), p, "job-1", 3, api.StepReport{State: api.StepDone}); err != nil || !reply.Stop {
		t.Errorf("a step out of order: %+v %v", reply, err)
	}
	if _, err := m.Report(t.Context(), p, "job-1", 99, api.StepReport{}); !errors.Is(err, bootd.ErrUnknown) {
		t.Errorf("a step that the job does not have: %v", err)
	}
	if _, rec := m.node(mac(2)); rec.Job.Next != 1 {
		t.Errorf("next step %d, want 1", rec.Job.Next)
	}
}

// TestLastReplyLost repeats the report of the last step, whose reply is what the agent waits for before it reboots.
func TestLastReplyLost(t *testing.T) {
	w, m, s := armed(t)
	p := s.peer(w.addr(2), "k")
	if _, err := m.CheckIn(t.Context(), p, s.checkIn(token(t, m))); err != nil {
		t.Fatal(err)
	}
	last := len(jobSteps(false)) - 1
	for i := range last {
		r := api.StepReport{State: api.StepDone}
		if jobSteps(false)[i] == api.StepDisk {
			r.Result = marshal(diskD())
		}
		if jobSteps(false)[i] == api.StepWrite {
			if _, err := m.Report(t.Context(), p, "job-1", i, api.StepReport{State: api.StepRunning}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.Report(t.Context(), p, "job-1", i, r); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if reply, err := m.Report(t.Context(), p, "job-1", last, api.StepReport{State: api.StepDone}); err != nil || reply.Stop {
			t.Errorf("%+v %v", reply, err)
		}
	}
	if _, err := m.Blob(t.Context(), p, "job-1", api.BlobIgnition); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("the Ignition after the last step was acknowledged: %v", err)
	}
	if _, err := m.Report(t.Context(), s.peer(w.addr(2), "other"), "job-1", last, api.StepReport{State: api.StepDone}); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("another key: %v", err)
	}
}

func TestSwappedBMCsWriteNothing(t *testing.T) {
	w := newWorld(t)
	a, b := w.servers[mac(2)], w.servers[mac(3)]
	a.bmc, b.bmc = b.bmc, a.bmc
	w.start(nil)
	v := w.runToEnd(request())
	if v.Code != 1 || a.writes+b.writes != 0 {
		t.Errorf("code %d, %d writes", v.Code, a.writes+b.writes)
	}
	seen := ""
	for _, n := range v.Nodes {
		seen += n.Reason
	}
	if !strings.Contains(seen, "line 3") || !strings.Contains(seen, "line 4") {
		t.Errorf("the reason does not name both rows: %s", seen)
	}
	for _, last := range []byte{2, 3} {
		if _, rec := w.at().node(mac(last)); answer(rec) != bootDisk {
			t.Errorf("node %d is still armed in state %s", last, rec.State)
		}
	}
}

func TestWrongClockIsShown(t *testing.T) {
	w, m, s := armed(t)
	s.clock = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := m.CheckIn(t.Context(), s.peer(w.addr(2), "k"), s.checkIn(token(t, m))); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Node(t.Context(), "node-1"); err != nil || n.Clock != "2010-01-01T00:00:00Z" {
		t.Errorf("clock %q, %v", n.Clock, err)
	}
}

func TestCallbackNeedsItsToken(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Fatal(v)
	}
	_, rec := m.node(mac(2))
	for tok, want := range map[string]error{"": bootd.ErrSession, "x": bootd.ErrSession, rec.Install.Callback: nil} {
		err := m.Callback(t.Context(), w.addr(2), "node-1", api.SignalReady, tok, api.Callback{HostName: "again"})
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("token %q: %v, want %v", tok, err, want)
		}
	}
	if err := m.Callback(t.Context(), w.addr(2), "node-1", "x", rec.Install.Callback, api.Callback{}); !errors.Is(err, bootd.ErrUnknown) {
		t.Errorf("unknown signal: %v", err)
	}
	if err := m.Callback(t.Context(), w.addr(2), "node-9", api.SignalReady, "x", api.Callback{}); !errors.Is(err, bootd.ErrUnknown) {
		t.Errorf("unknown node: %v", err)
	}
}
