package provision

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// asks waits until a run asks about as many nodes.
func (w *world) asks(id string, nodes int) {
	w.t.Helper()
	w.until(func(m *Machine) bool {
		v, err := m.RunView(id)
		return err == nil && len(v.Questions) == nodes
	})
}

func TestAskWaitsAndTheFirstAnswerCounts(t *testing.T) {
	for answer, want := range map[string]struct {
		code  int
		state State
	}{
		api.OnFailureRetry: {0, Ready}, api.OnFailureExclude: {3, Excluded}, api.OnFailureCancel: {3, Failed},
	} {
		t.Run(answer, func(t *testing.T) {
			w := newWorld(t)
			w.servers[mac(3)].failWrite = 1
			w.start(nil)
			req := request()
			req.OnFailure = api.OnFailureAsk
			v, err := w.at().Submit(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			w.asks(v.ID, 1)
			w.until(func(m *Machine) bool { return m.record(mac(2)).State == Ready }) // the others go on
			w.kill()
			w.start(nil) // a question outlives the daemon that put it
			w.asks(v.ID, 1)
			v, err = w.at().RunView(v.ID)
			if err != nil || !strings.Contains(v.Questions[0].Reason, "SHA-256") || v.Questions[0].Step != string(Installing) {
				t.Errorf("%+v, %v", v.Questions, err)
			}
			if _, err := w.at().Answer(t.Context(), v.ID, api.Answer{Node: "node-1", Answer: answer}); !errors.Is(err, ErrNotAsked) {
				t.Errorf("an answer about node-1: %v, want ErrNotAsked", err)
			}
			if _, err := w.at().Answer(t.Context(), v.ID, api.Answer{Answer: "shrug"}); !errors.Is(err, ErrRequest) {
				t.Errorf("an answer that is none: %v, want ErrRequest", err)
			}
			if _, err := w.at().Answer(t.Context(), v.ID, api.Answer{Node: "node-2", Answer: answer}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.at().Answer(t.Context(), v.ID, api.Answer{Answer: api.OnFailureCancel}); !errors.Is(err, ErrNotAsked) {
				t.Errorf("a second answer: %v, want ErrNotAsked", err)
			}
			if end := w.wait(v.ID); end.Code != want.code {
				t.Errorf("code %d, want %d: %s", end.Code, want.code, end.Reason)
			}
			if rec := w.at().record(mac(3)); rec.State != want.state {
				t.Errorf("node-2 is %s, want %s", rec.State, want.state)
			}
		})
	}
}

// TestAskAboutABMC asks before anything is touched, and takes the BMC in once it answers.
func TestAskAboutABMC(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].bmcErr = errRefused
	w.start(nil)
	req := request()
	req.OnFailure = api.OnFailureAsk
	v, err := w.at().Submit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	w.asks(v.ID, 1)
	w.mu.Lock()
	if w.servers[mac(2)].on {
		t.Error("a server was powered while a BMC is in question")
	}
	w.servers[mac(3)].bmcErr = nil
	w.mu.Unlock()
	if _, err := w.at().Answer(t.Context(), v.ID, api.Answer{Answer: api.OnFailureRetry}); err != nil {
		t.Fatal(err)
	}
	if end := w.wait(v.ID); end.Code != 0 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

func TestExcludePolicy(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].failWrite = 99
	w.start(nil)
	req := request()
	req.OnFailure, req.Retries = api.OnFailureExclude, 1
	v := w.runToEnd(req)
	rec := w.at().record(mac(3))
	if v.Code != 3 || rec.State != Excluded || rec.Fence != "" || w.servers[mac(3)].on || w.servers[mac(3)].writes != 2 {
		t.Errorf("code %d, %s (%s), on %t after %d writes", v.Code, rec.State, rec.Fence, w.servers[mac(3)].on, w.servers[mac(3)].writes)
	}
	if answer(rec) != bootMicrokernel {
		t.Error("its half-written disk would be booted")
	}
	req = request()
	req.OnFailure = api.OnFailureExclude
	w.setBMC(mac(2), errRefused)
	req.SSHKeys = []string{"another"} // not the same order
	if v := w.runToEnd(req); v.Code != 3 || w.at().record(mac(2)).Fence == "" {
		t.Errorf("a BMC that refuses: code %d, fence %q", v.Code, w.at().record(mac(2)).Fence)
	}
}

func TestCanaryFirst(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(2)].failWrite = 99
	w.start(nil)
	req := request()
	req.Canary = api.CanaryOn
	v := w.runToEnd(req)
	if v.Code == 0 || !strings.Contains(v.Reason, "canary node-1") || w.servers[mac(3)].on {
		t.Errorf("code %d, %s; the other is on: %t", v.Code, v.Reason, w.servers[mac(3)].on)
	}
	if rec := w.at().record(mac(3)); rec.State != Known || rec.Job != nil {
		t.Errorf("the other is %s with %v", rec.State, rec.Job)
	}
}

func TestCanaries(t *testing.T) {
	w := newWorld(t)
	w.csv = strings.Replace(w.csv, "01:03,,,", "01:03,,big,", 1)
	m := w.start(nil)
	servers := []rack.MAC{mac(2), mac(3), mac(4)}
	w.csv += "52:54:00:00:00:04,52:54:00:00:01:04,,third,\n"
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, mac := range servers[:2] { // the third was excluded in the check
		if err := m.transition(t.Context(), mac, CheckingBMC, nil); err != nil {
			t.Fatal(err)
		}
	}
	nodes := []string{}
	for _, mac := range m.pickCanaries(&runRecord{Request: api.RunRequest{Canary: api.CanaryOn}}, servers) {
		nodes = append(nodes, mac.String())
	}
	if !slices.Equal(nodes, []string{mac(2).String(), mac(3).String()}) {
		t.Errorf("canaries %v, want one per type", nodes)
	}
	if got := m.pickCanaries(&runRecord{}, servers); got != nil {
		t.Errorf("two nodes have canaries %v by default", got)
	}
}

// TestHeldAndGoneOn holds both nodes before their first write, and lets a second run go on without a power cycle.
func TestHeldAndGoneOn(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	req := request()
	req.StopAt = api.StopAtAgent
	v := w.runToEnd(req)
	if v.Code != 0 || w.servers[mac(2)].writes != 0 || !v.Nodes[0].Held {
		t.Errorf("code %d, %d writes, %+v", v.Code, w.servers[mac(2)].writes, states(v))
	}
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Errorf("code %d: %v %v", v.Code, states(v), v.Skipped)
	}
	for _, s := range w.servers {
		if s.powerOffs != 0 || s.writes != 1 {
			t.Errorf("%s: %d power-offs, %d writes", s.primary, s.powerOffs, s.writes)
		}
	}
}

func TestNotAfterAndMinReady(t *testing.T) {
	w := newWorld(t)
	w.start(func(c *Config) { c.PowerInterval = 300 * time.Millisecond })
	req := request()
	req.NotAfter = time.Now().Add(-time.Minute)
	if _, err := w.at().Submit(t.Context(), req); !errors.Is(err, ErrRequest) {
		t.Errorf("a time that is over: %v", err)
	}
	w.servers[mac(3)].failWrite = 99
	req = request()
	req.MinReady, req.OnFailure = 1, api.OnFailureExclude
	if v := w.runToEnd(req); v.Code != 0 || v.State != runDone {
		t.Errorf("one of one needed is ready: %s, code %d", v.State, v.Code)
	}
	req.MinReady = 3
	if _, err := w.at().Submit(t.Context(), req); !errors.Is(err, ErrRequest) {
		t.Errorf("more than there are: %v", err)
	}
}

// TestTooLate starts the first node in time and the second no more.
func TestTooLate(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	v, err := m.Submit(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	w.wait(v.ID)
	req := request()
	req.Nodes, req.NotAfter, req.PowerCycleRunning = []string{"node-2"}, time.Now().Add(time.Hour), true
	r, err := m.planned(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	r.Request.NotAfter = time.Now().Add(-time.Second) // it took that long until its turn
	if err := m.admit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	end := w.wait(r.ID)
	if len(end.Skipped) != 1 || !strings.Contains(end.Skipped[0], "node-2") || w.servers[mac(3)].powerOffs != 0 {
		t.Errorf("skipped %v, %d power-offs", end.Skipped, w.servers[mac(3)].powerOffs)
	}
	if rec := m.record(mac(3)); rec.State != Ready {
		t.Errorf("node-2 is %s, want ready as before", rec.State)
	}
}

// TestOneStreamAtATime lets two nodes share one image stream.
func TestOneStreamAtATime(t *testing.T) {
	w := newWorld(t)
	m := w.start(func(c *Config) { c.ImageStreams = 1 })
	most := 0
	w.onWrite = func() {
		writing := 0
		for _, last := range []byte{2, 3} {
			if m.record(mac(last)).State == Installing {
				writing++
			}
		}
		most = max(most, writing)
	}
	if v := w.runToEnd(request()); v.Code != 0 || most != 1 {
		t.Errorf("code %d, %d wrote at a time", v.Code, most)
	}
}

func TestPace(t *testing.T) {
	p := &pace{interval: time.Second}
	now := time.Now()
	for i, step := range []struct{ at, want time.Duration }{
		{0, 0}, {0, time.Second}, {400 * time.Millisecond, 600 * time.Millisecond}, {time.Second, 0}, {time.Hour, 0},
	} {
		if got := p.turn(now.Add(step.at)); got != step.want {
			t.Errorf("question %d: wait %s, want %s", i, got, step.want)
		}
	}
}
