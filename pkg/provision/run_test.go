package provision

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

func states(v api.RunView) map[string]string {
	out := map[string]string{}
	for _, n := range v.Nodes {
		out[n.Name] = n.State
	}
	return out
}

func TestRunToReady(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	v := w.runToEnd(request())
	if v.State != runDone || v.Code != 0 {
		t.Errorf("run %s, code %d, %s", v.State, v.Code, v.Reason)
	}
	if d := cmp.Diff(map[string]string{"node-1": "ready", "node-2": "ready"}, states(v)); d != "" {
		t.Error(d)
	}
	for _, s := range v.Stages {
		if s.Done != 2 || s.Total != 2 || s.State != "done" {
			t.Errorf("stage %+v", s)
		}
	}
	n, err := w.at().Node(t.Context(), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	if n.Callback == nil || n.Callback.HostName != "node-1" || n.Disk == nil && n.Image != w.image.ID {
		t.Errorf("node: %+v", n)
	}
}

func TestPlainImageIsReadyWhenBooted(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(2)].plain, w.servers[mac(3)].plain = true, true
	w.start(nil)
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Errorf("code %d: %v", v.Code, states(v))
	}
}

func TestRefusedPasswordTouchesNothing(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].bmcErr = errRefused
	w.start(nil)
	v := w.runToEnd(request())
	if v.Code != 6 {
		t.Errorf("code %d, want 6", v.Code)
	}
	if d := cmp.Diff(map[string]string{"node-1": "known", "node-2": "failed"}, states(v)); d != "" {
		t.Error(d)
	}
	for _, s := range w.servers {
		if s.on || s.powerOffs != 0 {
			t.Errorf("%s was powered", s.primary)
		}
	}
}

func TestSilentBMCEndsAtItsDeadline(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].bmcErr = errSilent
	w.start(func(c *Config) { c.Deadlines.CheckBMC = 10 * time.Millisecond })
	if v := w.runToEnd(request()); v.Code != 6 || !strings.Contains(v.Nodes[1].Reason, "node-2") {
		t.Errorf("code %d, reason %q", v.Code, v.Nodes[1].Reason)
	}
}

func TestBMCErrorIsShown(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].bmcErr = errRefused
	m := w.start(nil)
	nodes, err := m.Nodes(t.Context(), true)
	if err != nil || nodes[1].BMCError != "" || !strings.Contains(nodes[2].BMCError, "refused") {
		t.Errorf("%q and %q, %v", nodes[1].BMCError, nodes[2].BMCError, err)
	}
}

// TestRefusedBMCIsNotAskedForEachView keeps views from locking an account.
func TestRefusedBMCIsNotAskedForEachView(t *testing.T) {
	w := newWorld(t)
	w.setBMC(mac(3), errRefused)
	m := w.start(nil)
	if _, err := m.Nodes(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.setBMC(mac(3), nil) // whoever asks would see it
	nodes, err := m.Nodes(t.Context(), true)
	if err != nil || !strings.Contains(nodes[2].BMCError, "refused") {
		t.Errorf("it was asked again at once: %q, %v", nodes[2].BMCError, err)
	}
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Errorf("a run asks all the same: code %d", v.Code)
	}
}

func TestRunningServersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	s := w.servers[mac(2)]
	s.on, s.stopBoot = true, func() {}
	w.start(nil)
	v := w.runToEnd(request())
	if v.Code != 3 || len(v.Skipped) != 1 || !strings.Contains(v.Skipped[0], "node-1") || s.powerOffs != 0 {
		t.Errorf("code %d, skipped %v, power-offs %d", v.Code, v.Skipped, s.powerOffs)
	}
	req := request()
	req.Nodes, req.PowerCycleRunning = []string{"node-1"}, true
	if v := w.runToEnd(req); v.Code != 0 || s.powerOffs != 1 {
		t.Errorf("with --power-cycle-running: code %d, power-offs %d", v.Code, s.powerOffs)
	}
}

func TestFailedWriteIsNeverBooted(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].failWrite = 99
	m := w.start(nil)
	v := w.runToEnd(request())
	if v.Code == 0 || v.Code == 6 {
		t.Errorf("code %d", v.Code)
	}
	n, rec := m.node(mac(3))
	if rec.State != Failed || !strings.Contains(rec.Reason, "wrong SHA-256") || rec.Step != string(Installing) {
		t.Errorf("%s is %s at %s: %s", n.Name, rec.State, rec.Step, rec.Reason)
	}
	if got := answer(rec); got != bootMicrokernel {
		t.Errorf("its boot answer is %s, want the microkernel: the disk is half written", got)
	}
}

func TestRetry(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].failWrite = 2
	w.start(nil)
	req := request()
	req.OnFailure, req.Retries = "retry", 3
	if v := w.runToEnd(req); v.Code != 0 || w.servers[mac(3)].writes != 3 {
		t.Errorf("code %d after %d writes: %v", v.Code, w.servers[mac(3)].writes, states(v))
	}
	w.servers[mac(3)].failWrite = 99
	before := w.servers[mac(3)].writes
	if v, err := w.at().Submit(t.Context(), req); err != nil || v.Changed || v.Code != 0 {
		t.Errorf("the same order again: changed %t, code %d, %v", v.Changed, v.Code, err)
	}
	v, err := w.at().Reprovision(t.Context(), "node-2", api.Reprovision{OnFailure: "retry", Retries: 1, Erase: api.EraseExact})
	if err != nil {
		t.Fatal(err)
	}
	if v := w.wait(v.ID); v.Code != 1 || w.servers[mac(3)].writes-before != 2 {
		t.Errorf("code %d after %d writes, want 1 after 2", v.Code, w.servers[mac(3)].writes-before)
	}
}

func TestDeadlineNamesWhatWasSeenLast(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].mute = true
	w.start(func(c *Config) { c.Deadlines.Boot = 20 * time.Millisecond })
	v := w.runToEnd(request())
	n, rec := w.at().node(mac(3))
	if rec.State != Failed || !strings.Contains(rec.Reason, "last seen") {
		t.Errorf("%s: %s (run %s)", rec.State, rec.Reason, v.State)
	}
	// It comes late, but it comes.
	err := w.at().Callback(t.Context(), w.addr(3), n.Name, api.SignalReady, rec.Install.Callback, api.Callback{HostName: n.Name})
	if _, rec := w.at().node(mac(3)); err != nil || rec.State != Ready || rec.Reason != "" {
		t.Errorf("after a late callback: %s %q, %v", rec.State, rec.Reason, err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	for name, change := range map[string]func(*api.RunRequest){
		"unknown provision":   func(r *api.RunRequest) { r.Provision = "x" },
		"unknown policy":      func(r *api.RunRequest) { r.OnFailure = "x" },
		"unknown image":       func(r *api.RunRequest) { r.Image = "x" },
		"unknown node":        func(r *api.RunRequest) { r.Nodes = []string{"x"} },
		"unknown exclusion":   func(r *api.RunRequest) { r.Exclude = []string{"x"} },
		"the management node": func(r *api.RunRequest) { r.Nodes = []string{mac(1).String()} },
		"nobody left":         func(r *api.RunRequest) { r.Exclude = []string{"node-1", "node-2"} },
		"negative retries":    func(r *api.RunRequest) { r.Retries = -1 },
	} {
		req := request()
		change(&req)
		if _, err := m.Submit(t.Context(), req); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v, want ErrRequest", name, err)
		}
	}
}

func TestSecondRunIsRefused(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].bmcErr = errSilent
	m := w.start(nil)
	v, err := m.Submit(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Submit(t.Context(), request()); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), v.ID) {
		t.Errorf("%v, want ErrBusy with %s", err, v.ID)
	}
}

// TestKillAndResume kills the machine whenever a node enters a state, for every state, and finds the run done by the
// next machine, with no disk written twice.
func TestKillAndResume(t *testing.T) {
	for _, at := range []State{CheckingBMC, Powering, Netbooting, Agent, Installing, Installed, Booted} {
		t.Run(string(at), func(t *testing.T) {
			w := newWorld(t)
			w.start(nil)
			v, err := w.at().Submit(t.Context(), request())
			if err != nil {
				t.Fatal(err)
			}
			w.until(func(m *Machine) bool {
				_, rec := m.node(mac(2))
				return stateRank(rec.State) >= stateRank(at)
			})
			w.kill()
			w.start(nil)
			if end := w.wait(v.ID); end.Code != 0 {
				t.Errorf("code %d: %v %s", end.Code, states(end), end.Reason)
			}
			for _, s := range w.servers {
				if s.writes != 1 {
					t.Errorf("%s was written %d times", s.primary, s.writes)
				}
			}
		})
	}
}

func stateRank(s State) int {
	for i, at := range []State{Known, CheckingBMC, Powering, Netbooting, Agent, Installing, Installed, Booted, Ready} {
		if at == s {
			return i
		}
	}
	return -1
}

func (w *world) until(ok func(*Machine) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	for {
		m := w.at()
		changed := m.changes()
		if ok(m) {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatal("it never came to that")
		case <-changed:
		}
	}
}
