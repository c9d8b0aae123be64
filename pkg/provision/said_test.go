package provision

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
)

// reportSteps reports the steps of a job from its next one on, as an agent does, up to number end.
func reportSteps(t *testing.T, m *Machine, p bootd.Peer, job *api.Job, end int) {
	t.Helper()
	_, rec := m.node(mac(2))
	for i := rec.Job.Next; i < end; i++ {
		r := api.StepReport{State: api.StepDone}
		switch job.Steps[i] {
		case api.StepDisk:
			r.Result = marshal(diskD())
		case api.StepWrite:
			if _, err := m.Report(t.Context(), p, job.ID, i, api.StepReport{State: api.StepRunning}); err != nil {
				t.Fatal(err)
			}
			r.Result = marshal(api.WriteResult{})
		}
		if reply, err := m.Report(t.Context(), p, job.ID, i, r); err != nil || reply.Stop {
			t.Fatalf("step %s: %+v %v", job.Steps[i], reply, err)
		}
	}
}

// checkedIn gives a node with an agent that did the first steps.
func checkedIn(t *testing.T, steps int) (*Machine, bootd.Peer, *api.Job) {
	t.Helper()
	w, m, s := armed(t)
	p := s.peer(w.addr(2), "k")
	a, err := m.CheckIn(t.Context(), p, s.checkIn(token(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	reportSteps(t, m, p, a.Job, steps)
	return m, p, a.Job
}

func TestESPThatIsNoGUID(t *testing.T) {
	for _, esp := range []string{"../../assets/x", "1", "11111111-2222-3333-4444-55555555555g", "11111111-2222-3333-4444-555555555555/.."} {
		m, p, job := checkedIn(t, 2)
		if _, err := m.Report(t.Context(), p, job.ID, 2, api.StepReport{State: api.StepRunning}); err != nil {
			t.Fatal(err)
		}
		reply, err := m.Report(t.Context(), p, job.ID, 2, api.StepReport{State: api.StepDone, Result: marshal(api.WriteResult{ESP: esp})})
		_, rec := m.node(mac(2))
		if err != nil || !reply.Stop || rec.State != Failed || rec.Install.ESP != "" {
			t.Errorf("%q: %+v %v, %s with ESP %q", esp, reply, err, rec.State, rec.Install.ESP)
		}
	}
}

func TestWriteWithoutAnnouncement(t *testing.T) {
	m, p, job := checkedIn(t, 2)
	if reply, err := m.Report(t.Context(), p, job.ID, 2, api.StepReport{State: api.StepDone}); err != nil || !reply.Stop {
		t.Errorf("%+v %v", reply, err)
	}
}

func TestStateThatIsNone(t *testing.T) {
	m, p, job := checkedIn(t, 0)
	if _, err := m.Report(t.Context(), p, job.ID, 0, api.StepReport{State: "x"}); !errors.Is(err, bootd.ErrRefused) {
		t.Errorf("%v", err)
	}
	if _, rec := m.node(mac(2)); rec.Job.Next != 0 {
		t.Error("a report that says nothing acknowledged a step")
	}
}

func TestAbsurdProgressIsNotShown(t *testing.T) {
	m, p, job := checkedIn(t, 2)
	for _, bad := range []api.Progress{{Done: -1, Total: 1}, {Done: 2, Total: 1}, {}, {Done: 1, Total: 1, BytesPerSecond: -1}} {
		if _, err := m.Report(t.Context(), p, job.ID, 2, api.StepReport{State: api.StepRunning, Progress: &bad}); err != nil {
			t.Fatal(err)
		}
		if n, err := m.Node(t.Context(), "node-1"); err != nil || n.Progress != nil {
			t.Errorf("%+v: shown as %+v, %v", bad, n.Progress, err)
		}
	}
}

// TestReportsAtTheSameTime repeats a report while the first one is still under way: no step may be skipped.
func TestReportsAtTheSameTime(t *testing.T) {
	m, p, job := checkedIn(t, 0)
	_, rec := m.node(mac(2))
	n, _ := m.node(mac(2))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			// As Report does once it has read the record.
			_, _ = m.acknowledge(t.Context(), n, rec, 0, api.StepReport{State: api.StepDone})
		})
	}
	wg.Wait()
	if reply, err := m.Report(t.Context(), p, job.ID, 0, api.StepReport{State: api.StepDone}); err != nil || reply.Stop {
		t.Errorf("the repeat: %+v %v", reply, err)
	}
	if _, rec := m.node(mac(2)); rec.Job.Next != 1 {
		t.Errorf("next step %d, want 1", rec.Job.Next)
	}
}

// TestAnnouncementAfterTheOrderWasTakenBack is a cancel between the reading and the writing of the record.
func TestAnnouncementAfterTheOrderWasTakenBack(t *testing.T) {
	m, _, _ := checkedIn(t, 2)
	n, rec := m.node(mac(2))
	if err := m.fail(t.Context(), mac(2), "cancelled"); err != nil {
		t.Fatal(err)
	}
	reply, err := m.running(t.Context(), n, rec, api.StepWrite, api.StepReport{State: api.StepRunning})
	if err != nil || !reply.Stop {
		t.Errorf("%+v %v: the agent would write", reply, err)
	}
}

// TestSecondAttemptIsRemembered installs another image on another disk after a write that failed.
func TestSecondAttemptIsRemembered(t *testing.T) {
	m, p, job := checkedIn(t, 2)
	if err := m.update(t.Context(), mac(2), func(r *Record) error {
		r.Job.Began = true
		r.Install = &Install{Image: "older", Disk: "other", Job: "job-0"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	reportSteps(t, m, p, job, 3)
	if _, rec := m.node(mac(2)); rec.Install.Image != job.Image.ID || rec.Install.Disk != "D" {
		t.Errorf("kept %+v", rec.Install)
	}
}

func TestIgnitionOnlyUntilItsStepIsDone(t *testing.T) {
	m, p, job := checkedIn(t, 3)
	for range 2 {
		if _, err := m.Blob(t.Context(), p, job.ID, api.BlobIgnition); err != nil {
			t.Error(err)
		}
	}
	reportSteps(t, m, p, job, 4)
	if _, err := m.Blob(t.Context(), p, job.ID, api.BlobIgnition); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("after its step: %v", err)
	}
}

// TestNoIgnitionAfterASecondKey stops a job whose write had begun: neither key may have the Ignition.
func TestNoIgnitionAfterASecondKey(t *testing.T) {
	m, p, job := checkedIn(t, 3)
	if err := m.fail(t.Context(), mac(2), "a second key"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Blob(t.Context(), p, job.ID, api.BlobIgnition); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("%v", err)
	}
}

func TestWordsOfMachines(t *testing.T) {
	m, p, job := checkedIn(t, 0)
	evil := "\x1b]0;x\x07line\nnext racker.token=SECRET " + strings.Repeat("é", 2000)
	if err := m.Log(t.Context(), p, []byte("ok\n"+evil+"\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Report(t.Context(), p, job.ID, 0, api.StepReport{State: api.StepFailed, Reason: evil, LogTail: evil}); err != nil {
		t.Fatal(err)
	}
	n, err := m.Node(t.Context(), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(m.cfg.LogDir, "node-1.log"))
	if err != nil {
		t.Fatal(err)
	}
	said := []string{n.Reason, string(log), n.LogTail}
	for _, e := range n.Evidence {
		said = append(said, e.Text)
		if len(e.Text) > maxSentence+100 {
			t.Errorf("evidence of %d bytes", len(e.Text))
		}
	}
	for _, s := range said {
		if strings.ContainsAny(s, "\x1b\x07") || strings.Contains(s, "SECRET") {
			t.Errorf("%.200q", s)
		}
	}
	if strings.Contains(n.Reason, "\n") || len(n.Reason) > maxSentence+100 {
		t.Errorf("a reason of %d bytes: %.200q", len(n.Reason), n.Reason)
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	w, m, s := armed(t)
	in := s.checkIn(token(t, m))
	in.Identity.Product = strings.Repeat("x", 1<<20)
	if _, err := m.CheckIn(t.Context(), s.peer(w.addr(2), "k"), in); !errors.Is(err, bootd.ErrRefused) {
		t.Errorf("an inventory of 1 MiB: %v", err)
	}
	if alarms(w) == 0 {
		t.Error("the operator is not told")
	}
}
