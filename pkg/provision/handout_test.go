package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
)

// keptAudit is an audit in memory, which can be full.
type keptAudit struct {
	mu      sync.Mutex
	full    bool
	entries []api.AuditEntry
}

func (k *keptAudit) Append(e api.AuditEntry) (api.AuditEntry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.full {
		return e, errors.New("disk full")
	}
	k.entries = append(k.entries, e)
	return e, nil
}

func (k *keptAudit) fill(full bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.full = full
}

func (k *keptAudit) all() []api.AuditEntry {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]api.AuditEntry(nil), k.entries...)
}

// inSession gives a machine whose node-1 is at its Ignition step, with its agent.
func inSession(t *testing.T) (*world, *Machine, bootd.Peer) {
	t.Helper()
	w, m, s := armed(t)
	p := s.peer(w.addr(2), "k")
	if _, err := m.CheckIn(t.Context(), p, s.checkIn(token(t, m))); err != nil {
		t.Fatal(err)
	}
	for i, step := range jobSteps(false) {
		r := api.StepReport{State: api.StepDone}
		switch step {
		case api.StepDisk:
			r.Result = marshal(api.DiskResult{Disk: api.Disk{Path: "/dev/vda", Serial: "D"}})
		case api.StepWrite:
			if _, err := m.Report(t.Context(), p, "job-1", i, api.StepReport{State: api.StepRunning}); err != nil {
				t.Fatal(err)
			}
		case api.StepIgnition:
			return w, m, p
		}
		if _, err := m.Report(t.Context(), p, "job-1", i, r); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("there is no Ignition step")
	return w, m, p
}

// TestHandOutIsOnRecord gives a config to its agent, as often as it asks, and has each in the audit.
func TestHandOutIsOnRecord(t *testing.T) {
	w, m, p := inSession(t)
	w.audit.fill(true)
	if b, err := m.Blob(t.Context(), p, "job-1", api.BlobIgnition); err == nil || b != nil || errors.Is(err, bootd.ErrSession) {
		t.Errorf("with an audit that cannot be written: %q, %v", b, err)
	}
	w.audit.fill(false)
	var config []byte
	for range 2 { // a lost reply
		b, err := m.Blob(t.Context(), p, "job-1", api.BlobIgnition)
		if err != nil {
			t.Fatal(err)
		}
		config = b
	}
	entries := w.audit.all()
	if len(entries) != 2 {
		t.Fatalf("%d entries: %+v", len(entries), entries)
	}
	sum := sha256.Sum256(config)
	e := entries[0]
	for _, want := range []string{"node-1", "172.24.213.2", sessionKey(p), mac(2).String()} {
		if !strings.Contains(e.Order, want) {
			t.Errorf("%q is not in %q", want, e.Order)
		}
	}
	if e.Plan != hex.EncodeToString(sum[:]) || e.Result != api.AuditOK || strings.Contains(e.Order, "cb") {
		t.Errorf("entry %+v", e)
	}
	if alarms(w) != 0 {
		t.Errorf("%d alarms for the node's own agent", alarms(w))
	}
	if _, rec := m.node(mac(2)); rec.Job.RackKey == "" {
		t.Error("what key the node gets is not known")
	}
}

// TestStrangersGetNoIgnition asks for a config in every way but the agent's own.
func TestStrangersGetNoIgnition(t *testing.T) {
	w, m, p := inSession(t)
	asks := map[string]struct {
		p      bootd.Peer
		job    string
		alarms int
	}{
		"another key at the node's address":  {bootd.Peer{Addr: p.Addr, Key: [32]byte{1}}, "job-1", 1},
		"no key at the node's address":       {bootd.Peer{Addr: p.Addr}, "job-1", 0}, // the same alarm: it is counted
		"the agent's key at another address": {bootd.Peer{Addr: w.addr(3), Key: p.Key}, "job-1", 1},
		"an unknown address":                 {bootd.Peer{Addr: w.addr(200), Key: p.Key}, "job-1", 1},
		"an unknown address and job":         {bootd.Peer{Addr: w.addr(201)}, "job-9", 0},
		"another job of the node":            {p, "job-9", 0},
	}
	want := 0
	for name, ask := range asks {
		if b, err := m.Blob(t.Context(), ask.p, ask.job, api.BlobIgnition); err == nil || b != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		} else if !errors.Is(err, bootd.ErrSession) && !errors.Is(err, bootd.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		want += ask.alarms
	}
	if n := alarms(w); n != want {
		t.Errorf("%d alarms, want %d", n, want)
	}
	list := strings.Join(m.Alarms(), "\n")
	if !strings.Contains(list, "node-1") || !strings.Contains(list, "times)") || !strings.Contains(list, "asked for without its agent's session") {
		t.Errorf("status would say:\n%s", list)
	}
	if n, err := m.Node(t.Context(), "node-1"); err != nil || !strings.Contains(n.Diagnosis, "alarm") {
		t.Errorf("diagnosis %q, %v", n.Diagnosis, err)
	}
	if _, err := m.Blob(t.Context(), p, "job-1", api.BlobIgnition); err != nil {
		t.Errorf("the agent itself: %v", err)
	}
	step := len(jobSteps(false)) - 3
	if _, err := m.Report(t.Context(), p, "job-1", step, api.StepReport{State: api.StepDone}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Blob(t.Context(), p, "job-1", api.BlobIgnition); !errors.Is(err, bootd.ErrSession) {
		t.Errorf("after the step was acknowledged: %v", err)
	}
	if len(w.audit.all()) != 1 {
		t.Errorf("%d configs are on record as given, want 1", len(w.audit.all()))
	}
	w.kill()
	if m := w.start(nil); len(m.Alarms()) == 0 {
		t.Error("the alarms are forgotten over a restart")
	}
}

// TestTokenFromElsewhere presents a node's boot token from another address, before and after the node redeemed it.
func TestTokenFromElsewhere(t *testing.T) {
	for name, redeemed := range map[string]bool{"before the node": false, "after the node": true} {
		t.Run(name, func(t *testing.T) {
			w, m, s := armed(t)
			tok := token(t, m)
			p := s.peer(w.addr(2), "k")
			if redeemed {
				if _, err := m.CheckIn(t.Context(), p, s.checkIn(tok)); err != nil {
					t.Fatal(err)
				}
			}
			for _, from := range []byte{3, 200} {
				thief := s.peer(w.addr(from), "thief")
				_, err := m.CheckIn(t.Context(), thief, s.checkIn(tok))
				if !errors.Is(err, bootd.ErrSession) && (from == 3 || !errors.Is(err, bootd.ErrUnknown)) { // the token is gone by then
					t.Errorf("from %s: %v", thief.Addr, err)
				}
			}
			_, rec := m.node(mac(2))
			if rec.State != Failed || rec.Job != nil || alarms(w) == 0 || !strings.Contains(rec.Reason, "another machine") {
				t.Errorf("state %s (%s), job %v, %d alarms", rec.State, rec.Reason, rec.Job, alarms(w))
			}
			if !redeemed {
				if _, err := m.CheckIn(t.Context(), p, s.checkIn(tok)); !errors.Is(err, bootd.ErrSession) {
					t.Errorf("the node itself, with a token that another has: %v", err)
				}
			}
			if _, err := m.Blob(t.Context(), p, "job-1", api.BlobIgnition); !errors.Is(err, bootd.ErrSession) {
				t.Errorf("the job goes on: %v", err)
			}
		})
	}
}

// TestReplaysAfterTheInstall presents everything once more when the node is ready: it stays so.
func TestReplaysAfterTheInstall(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Fatal(v)
	}
	_, rec := m.node(mac(2))
	tok, job := rec.Session.Token, rec.Install.Job
	before := alarms(w)
	for _, from := range []byte{2, 3, 200} {
		thief := bootd.Peer{Addr: w.addr(from), Key: [32]byte{9}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a check-in that is taken would be held
		if a, err := m.CheckIn(ctx, thief, w.servers[mac(2)].checkIn(tok)); err == nil || a.Job != nil {
			t.Errorf("from %s: %+v, %v", thief.Addr, a, err)
		}
		if b, err := m.Blob(t.Context(), thief, job, api.BlobIgnition); err == nil || b != nil {
			t.Errorf("from %s: %q, %v", thief.Addr, b, err)
		}
	}
	if _, now := m.node(mac(2)); now.State != Ready || now.Job != nil {
		t.Errorf("state %s, job %v", now.State, now.Job)
	}
	if alarms(w) == before {
		t.Error("nobody is told")
	}
	if n, err := m.Node(t.Context(), "node-1"); err != nil || n.Diagnosis != "" {
		t.Errorf("a node that is well is diagnosed: %q, %v", n.Diagnosis, err)
	}
}

// TestAlarmsAreBounded has one machine make as many alarms as it can.
func TestAlarmsAreBounded(t *testing.T) {
	w, m, _ := armed(t)
	n, _ := m.node(mac(2))
	for i := range 5000 {
		_ = m.alarm(n, "odd "+strings.Repeat("x", i%200))
	}
	if k := alarms(w); k > alarmsPerPause {
		t.Errorf("%d events", k)
	}
	if list := m.Alarms(); len(list) > alarmsNamed+1 || !strings.Contains(list[0], "times") {
		t.Errorf("status would say %d lines: %q", len(list), list)
	}
}
