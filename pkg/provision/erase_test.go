package provision

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

// asking submits a run whose disks somebody has to confirm, and waits until they are asked about.
func (w *world) asking(change func(*api.RunRequest)) (id string, t *api.EraseView) {
	w.t.Helper()
	req := request()
	req.Erase = api.EraseAsk
	if change != nil {
		change(&req)
	}
	v, err := w.at().Submit(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.ID, w.table(v.ID, 0)
}

// table waits until the run asks about so many disks; 0 for any number.
func (w *world) table(id string, rows int) (t *api.EraseView) {
	w.t.Helper()
	w.until(func(m *Machine) bool {
		v, err := m.RunView(id)
		if err != nil {
			w.t.Fatal(err)
		}
		t = v.Erase
		return t != nil && t.Open && (rows == 0 || len(t.Rows) == rows)
	})
	return t
}

func (w *world) confirm(id string, t *api.EraseView, out ...string) {
	w.t.Helper()
	if _, err := w.at().ConfirmErase(w.t.Context(), id, api.EraseAnswer{Digest: t.Digest, Exclude: out}); err != nil {
		w.t.Fatal(err)
	}
}

// written counts the writes of all disks.
func (w *world) written() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.servers {
		n += s.writes
	}
	return n
}

func rowNames(t *api.EraseView) (out []string) {
	for i := range t.Rows {
		out = append(out, t.Rows[i].Where)
	}
	return out
}

// TestDisksAreAskedAbout has one table for all nodes, and nothing written before it is confirmed, by its own digest.
func TestDisksAreAskedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.start(nil)
	id, table := w.asking(nil)
	if diff := cmp.Diff([]string{"node-1", "node-2"}, rowNames(table)); diff != "" || w.written() != 0 {
		t.Fatalf("%d writes, rows %s", w.written(), diff)
	}
	if d := table.Rows[0].Disk; d.Serial == "" || table.Rows[0].Matched != 1 {
		t.Errorf("row: %+v", table.Rows[0])
	}
	v, err := m.Node(t.Context(), "node-1")
	if err != nil || !strings.Contains(v.Diagnosis, "racker run wait "+id) || v.Deadline != 0 || v.Disk == nil {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := m.ConfirmErase(t.Context(), id, api.EraseAnswer{Digest: "0123"}); !errors.Is(err, ErrTable) {
		t.Errorf("another digest: %v", err)
	}
	if _, err := m.ConfirmErase(t.Context(), id, api.EraseAnswer{Digest: table.Digest, Exclude: []string{"node-9"}}); !errors.Is(err, ErrRequest) {
		t.Errorf("nobody's name: %v", err)
	}
	if _, err := m.ConfirmErase(t.Context(), "run-x", api.EraseAnswer{}); !errors.Is(err, ErrNoRun) {
		t.Errorf("no run: %v", err)
	}
	w.confirm(id, table)
	if end := w.wait(id); end.Code != 0 || w.written() != 2 || end.Erase != nil {
		t.Errorf("code %d, %d writes: %v", end.Code, w.written(), states(end))
	}
	if _, err := m.ConfirmErase(t.Context(), id, api.EraseAnswer{Digest: table.Digest}); !errors.Is(err, ErrNotAsked) {
		t.Errorf("once more: %v", err)
	}
}

// TestYesWantsExactRules asks although the order says yes, since the rule of one node fits two disks alike.
func TestYesWantsExactRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.servers[mac(3)].found = func(r *api.DiskResult) { r.Matched = 2 }
	w.start(nil)
	id, table := w.asking(func(r *api.RunRequest) { r.Erase = api.EraseExact })
	if diff := cmp.Diff([]string{"node-2"}, table.Inexact()); diff != "" || len(table.Rows) != 2 || w.written() != 0 {
		t.Fatalf("%d rows, %d writes, %s", len(table.Rows), w.written(), diff)
	}
	w.confirm(id, table)
	if end := w.wait(id); end.Code != 0 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

// TestDisksOfOneLeftOut powers a server off that was left out, and writes the other's disk.
func TestDisksOfOneLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	id, table := w.asking(nil)
	w.confirm(id, table, "node-2")
	end := w.wait(id)
	out := w.servers[mac(3)]
	if end.Code != 3 || w.at().record(mac(3)).State != Excluded || out.writes != 0 || out.on || w.servers[mac(2)].writes != 1 {
		t.Errorf("code %d: %v, %d writes, on %t", end.Code, states(end), out.writes, out.on)
	}
}

// TestDiskThatChanges is another disk when the write is about to begin: it is asked about alone, and again.
func TestDiskThatChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	times := 0
	w.servers[mac(3)].found = func(r *api.DiskResult) {
		if times++; times > 1 {
			r.Disk.Contents = []string{"ext4 somebody's data"}
		}
	}
	w.start(nil)
	id, table := w.asking(nil)
	w.confirm(id, table)
	again := w.table(id, 1)
	if again.Rows[0].Where != "node-2" || !slices.Contains(again.Rows[0].Disk.Contents, "ext4 somebody's data") || w.servers[mac(3)].writes != 0 {
		t.Fatalf("%+v", again.Rows)
	}
	w.until(func(m *Machine) bool { return m.record(mac(2)).State == Ready }) // who was confirmed goes on
	w.confirm(id, again)
	if end := w.wait(id); end.Code != 0 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

// TestRetryAsksAlone has a node that fails before it shows its disk and is tried again: the table of the others does not
// wait for it.
func TestRetryAsksAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	times := 0
	w.servers[mac(3)].found = func(r *api.DiskResult) {
		if times++; times == 1 {
			r.Disk.Model = strings.Repeat("x", maxDisk) // more than is taken: the attempt fails
		}
	}
	w.start(nil)
	id, table := w.asking(func(r *api.RunRequest) { r.OnFailure, r.Retries = api.OnFailureRetry, 2 })
	w.until(func(m *Machine) bool { return m.record(mac(3)).Tries == 2 || len(table.Rows) == 1 })
	for range 2 { // together, or one after the other, by which came first
		table = w.table(id, 0)
		w.confirm(id, table)
		if len(table.Rows) == 2 {
			break
		}
		w.until(func(m *Machine) bool { return m.record(mac(3)).shows() || m.run(id).State != runRunning })
	}
	if end := w.wait(id); end.Code != 0 || w.at().record(mac(3)).Tries != 2 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

// TestHalfWrittenIsNotAskedAboutAgain fails one write: what is on the disk then is the run's own doing.
func TestHalfWrittenIsNotAskedAboutAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.servers[mac(3)].failWrite = 1
	w.start(nil)
	id, table := w.asking(func(r *api.RunRequest) { r.OnFailure, r.Retries = api.OnFailureRetry, 2 })
	w.confirm(id, table)
	if end := w.wait(id); end.Code != 0 || w.servers[mac(3)].writes != 2 {
		t.Errorf("code %d, %d writes: %v", end.Code, w.servers[mac(3)].writes, states(end))
	}
}

// TestOtherDiskAfterAHalfWrite does not take the confirmation of one disk for another.
func TestOtherDiskAfterAHalfWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.servers[mac(3)]
	s.failWrite = 1
	s.found = func(r *api.DiskResult) {
		if s.writes > 0 {
			r.Disk.Serial = "ANOTHER"
		}
	}
	w.start(nil)
	id, table := w.asking(func(r *api.RunRequest) { r.OnFailure, r.Retries = api.OnFailureRetry, 2 })
	w.confirm(id, table)
	if again := w.table(id, 1); again.Rows[0].Disk.Serial != "ANOTHER" || s.writes != 1 {
		t.Errorf("%+v, %d writes", again.Rows, s.writes)
	}
}

// TestDisksAreAskedAboutAfterAKill finds the question in the next life of the daemon, and the answer in the one after.
func TestDisksAreAskedAboutAfterAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	id, before := w.asking(nil)
	w.kill()
	w.start(nil)
	after := w.table(id, 2)
	if after.Digest != before.Digest {
		t.Errorf("another table: %+v", after)
	}
	w.confirm(id, after)
	w.kill()
	w.start(nil)
	if end := w.wait(id); end.Code != 0 || w.written() != 2 {
		t.Errorf("code %d, %d writes: %v", end.Code, w.written(), states(end))
	}
}

// TestLateNodeIsAskedAboutAlone does not let the others wait for a node that does not come.
func TestLateNodeIsAskedAboutAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.servers[mac(3)].absent = true
	m := w.start(func(c *Config) { c.Deadlines.Disks = 20 * time.Millisecond })
	id, table := w.asking(nil)
	if diff := cmp.Diff([]string{"node-1"}, rowNames(table)); diff != "" || len(table.Waiting) != 1 {
		t.Fatalf("waiting for %q, %s", table.Waiting, diff)
	}
	w.confirm(id, table)
	w.until(func(m *Machine) bool { return m.record(mac(2)).State == Ready })
	s := w.servers[mac(3)]
	w.mu.Lock()
	s.absent = false
	s.boot() // somebody pressed its button
	w.mu.Unlock()
	late := w.table(id, 1)
	if late.Rows[0].Where != "node-2" || s.writes != 0 || m.run(id).State != runRunning {
		t.Fatalf("%+v", late.Rows)
	}
	w.confirm(id, late)
	if end := w.wait(id); end.Code != 0 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

func TestCancelAtTheDisks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.start(nil)
	id, table := w.asking(nil)
	if _, err := m.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if end := w.wait(id); end.State != runCancelled || w.written() != 0 || end.Erase != nil {
		t.Errorf("%s, %d writes", end.State, w.written())
	}
	if _, err := m.ConfirmErase(t.Context(), id, api.EraseAnswer{Digest: table.Digest}); !errors.Is(err, ErrNotAsked) {
		t.Errorf("after the end: %v", err)
	}
}

// TestAllShowTheirDisksWithFewStreams has one image stream for two nodes: both show their disks before either gets it.
func TestAllShowTheirDisksWithFewStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(c *Config) { c.ImageStreams = 1 })
	id, table := w.asking(nil)
	if len(table.Rows) != 2 {
		t.Fatalf("rows %q", rowNames(table))
	}
	w.confirm(id, table)
	if end := w.wait(id); end.Code != 0 || w.written() != 2 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

// TestCanariesShowTheirDisksFirst asks about the canary, and about the others when it is ready.
func TestCanariesShowTheirDisksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	id, table := w.asking(func(r *api.RunRequest) { r.Canary = api.CanaryOn })
	if diff := cmp.Diff([]string{"node-1"}, rowNames(table)); diff != "" {
		t.Fatal(diff)
	}
	w.confirm(id, table)
	w.until(func(m *Machine) bool {
		v, err := m.RunView(id)
		return err == nil && v.Erase != nil && v.Erase.Open && v.Erase.Rows[0].Where == "node-2"
	})
	if w.servers[mac(3)].writes != 0 || w.at().record(mac(2)).State != Ready {
		t.Error("the others were written before the canary was ready")
	}
	w.confirm(id, w.table(id, 1))
	if end := w.wait(id); end.Code != 0 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

// TestLastingFailureIsNotTriedAgain has an agent that may not erase what is there.
func TestLastingFailureIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	m, p, job := checkedIn(t, 1)
	_, err := m.Report(t.Context(), p, job.ID, 1, api.StepReport{State: api.StepFailed, Reason: "holds a RAID; --wipe-foreign allows it", Lasting: true})
	_, rec := m.node(mac(2))
	if err != nil || rec.State != Failed || !rec.Lasting {
		t.Fatalf("%s, %v", rec.State, err)
	}
	for policy, want := range map[string]string{api.OnFailureRetry: api.OnFailureCancel, api.OnFailureExclude: api.OnFailureExclude, api.OnFailureAsk: api.OnFailureAsk} {
		if got := decide(&runRecord{Request: api.RunRequest{OnFailure: policy, Retries: 5}}, rec); got != want {
			t.Errorf("%s: %s, want %s", policy, got, want)
		}
	}
}
