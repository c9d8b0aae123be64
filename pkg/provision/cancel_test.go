package provision

import (
	"context"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// canceller ends a context at the first event.
type canceller struct {
	*event.Bus
	cancel context.CancelFunc
}

func (c canceller) Publish(e event.Event) event.Event {
	c.cancel()
	return c.Bus.Publish(e)
}

// TestCancelWithASilentBMC does not wait for the deadline of the check.
func TestCancelWithASilentBMC(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].bmcErr = errSilent
	m := w.start(nil)
	v, err := m.Submit(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool { return m.power(mac(2)) == api.PowerOff })
	if _, err := m.Cancel(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	if end := w.wait(v.ID); end.State != runCancelled {
		t.Errorf("%s: %v", end.State, states(end))
	}
}

// TestCancelInEachState cancels when a node whose agent then falls silent is in a state, and finds the run at its end
// and no order left.
func TestCancelInEachState(t *testing.T) {
	for _, at := range []State{Netbooting, Agent, Installing} {
		t.Run(string(at), func(t *testing.T) {
			w := newWorld(t)
			w.servers[mac(2)].absent = true
			m := w.start(nil)
			req := request()
			req.Nodes, req.Shown = []string{"node-1"}, shownD()
			v, err := m.Submit(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			w.until(func(m *Machine) bool {
				_, rec := m.node(mac(2))
				return rec.State == Netbooting
			})
			s := w.servers[mac(2)]
			if at != Netbooting {
				p := s.peer(w.addr(2), "k")
				a, err := m.CheckIn(t.Context(), p, s.checkIn(token(t, m)))
				if err != nil {
					t.Fatal(err)
				}
				if at == Installing {
					reportSteps(t, m, p, a.Job, 2)
				}
			}
			if _, err := m.Cancel(t.Context(), v.ID); err != nil {
				t.Fatal(err)
			}
			if end := w.wait(v.ID); end.State != runCancelled {
				t.Errorf("%s", end.State)
			}
			if _, rec := m.node(mac(2)); rec.State != Known || rec.Job != nil {
				t.Errorf("it is %s with job %v", rec.State, rec.Job)
			}
		})
	}
}

// TestNoRetryOfAHalfWrittenNodeAfterCancel kills the machine between a failure and its retry.
func TestNoRetryOfAHalfWrittenNodeAfterCancel(t *testing.T) {
	r := &Record{State: CheckingBMC, Job: &Job{ID: "old", Began: true}, Install: &Install{Job: "old"}}
	if !r.mayLeave() {
		t.Error("a stopped run arms a node again whose last attempt failed")
	}
	r = &Record{State: Installing, Job: &Job{ID: "j", Began: true, Disk: &api.Disk{Serial: "D"}}, Install: &Install{Job: "j", Disk: "D"}}
	if r.mayLeave() {
		t.Error("a stopped run lets go of a node in mid-write")
	}
}

// TestPlainNodeKilledBetweenBootedAndReady ends the machine between the two transitions that one DHCP packet makes.
func TestPlainNodeKilledBetweenBootedAndReady(t *testing.T) {
	w := newWorld(t)
	s := w.servers[mac(2)]
	s.plain, s.silentBoot = true, true
	m := w.start(nil)
	req := request()
	req.Nodes = []string{"node-1"}
	v, err := m.Submit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool {
		_, rec := m.node(mac(2))
		return rec.State == Installed
	})
	if err := m.transition(t.Context(), mac(2), Booted, nil); err != nil {
		t.Fatal(err)
	}
	w.kill()
	w.start(nil)
	if end := w.wait(v.ID); end.Code != 0 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

// TestStepsMoveTheDeadline takes longer over the steps after the write than progress may stand still.
func TestStepsMoveTheDeadline(t *testing.T) {
	w, m, s := armed(t)
	p := s.peer(w.addr(2), "k")
	a, err := m.CheckIn(t.Context(), p, s.checkIn(token(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	reportSteps(t, m, p, a.Job, 2)
	old := time.Now().Add(-time.Hour)
	m.alive(mac(2), func(l *live) { l.moved = old })
	reportSteps(t, m, p, a.Job, 4)
	if m.known(mac(2)).moved.Equal(old) {
		t.Error("an acknowledged step is no progress")
	}
}
