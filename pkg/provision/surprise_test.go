package provision

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// TestLateCallbackEndsTheRetry lets a node call back while it waits for its next attempt: it is ready, and nothing wipes it.
func TestLateCallbackEndsTheRetry(t *testing.T) {
	for name, at := range map[string]State{"in the pause": Failed, "in the queue": CheckingBMC} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.servers[mac(2)]
			s.mute = true
			m := w.start(func(c *Config) {
				c.Deadlines.Boot = 20 * time.Millisecond
				c.RetryPause = time.Minute
				if at == CheckingBMC {
					c.RetryPause, c.PowerInterval = 0, time.Hour
				}
			})
			req := request()
			req.OnFailure, req.Retries, req.Nodes = api.OnFailureRetry, 5, []string{"node-1"}
			v, err := m.Submit(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			w.until(func(m *Machine) bool {
				rec := m.record(mac(2))
				return rec.State == at && rec.Install != nil && rec.Install.Complete && (at == Failed || rec.Tries > 1)
			})
			secret := m.record(mac(2)).Install.Callback
			if err := m.Callback(t.Context(), w.addr(2), "node-1", api.SignalReady, secret, api.Callback{HostName: "node-1"}); err != nil {
				t.Fatal(err)
			}
			if end := w.wait(v.ID); end.Code != 0 || s.writes != 1 || s.powerOffs != 0 {
				t.Errorf("code %d, %d writes, %d power-offs of a ready node", end.Code, s.writes, s.powerOffs)
			}
		})
	}
}

// slowOff is a BMC that takes its time over a soft power-off, while the server boots on.
type slowOff struct {
	*world
	asked chan struct{}
	cut   int
}

func (b *slowOff) SoftOff(ctx context.Context, _ *rack.Node, _ netip.Addr) error {
	close(b.asked)
	<-ctx.Done()
	return ctx.Err()
}

func (b *slowOff) SetPower(ctx context.Context, n *rack.Node, a netip.Addr, on bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !on {
		b.cut++
	}
	return b.world.SetPower(ctx, n, a, on)
}

// TestNoPowerOffAfterTheCheckIn has a node check in while its BMC is slow to shut its old system down.
func TestNoPowerOffAfterTheCheckIn(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.runToEnd(request())
	m := w.at()
	s := w.servers[mac(2)]
	b := &slowOff{world: w, asked: make(chan struct{})}
	m.needs.BMCs = b
	v, err := m.Reprovision(t.Context(), "node-1", api.Reprovision{OnFailure: api.OnFailureCancel, Erase: api.EraseExact})
	if err != nil {
		t.Fatal(err)
	}
	<-b.asked
	w.mu.Lock()
	s.boot() // somebody reset it
	w.mu.Unlock()
	if end := w.wait(v.ID); end.Code != 0 || b.cut != 0 || s.writes != 2 {
		t.Errorf("code %d, %d power-offs, %d writes: %v", end.Code, b.cut, s.writes, states(end))
	}
}

// TestHalfWrittenDiskIsNotBooted refuses every order but an install for a node whose write was cut off.
func TestHalfWrittenDiskIsNotBooted(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].failWrite = 99
	m := w.start(nil)
	w.runToEnd(request())
	for _, provision := range []string{provisionDisk, provisionInventory} {
		req := api.RunRequest{Provision: provision, OnFailure: "cancel", Nodes: []string{"node-2"}, PowerCycleRunning: true}
		if _, err := m.Submit(t.Context(), req); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v, want ErrRequest", provision, err)
		}
		if err := m.arm(t.Context(), &runRecord{Request: req}, mac(3), CheckingBMC); provision == provisionDisk && !errors.Is(err, errHalfWritten) {
			t.Errorf("%s armed: %v", provision, err)
		}
	}
}

// TestOldJobWaitsForItsRun has a node with the job of an earlier run check in while a new run is only checking it.
func TestOldJobWaitsForItsRun(t *testing.T) {
	w, m, s := armed(t)
	err := m.transition(t.Context(), mac(2), Failed, nil)
	if err == nil {
		err = m.transition(t.Context(), mac(2), CheckingBMC, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	a, err := m.CheckIn(ctx, s.peer(w.addr(2), "k"), s.checkIn(token(t, m)))
	if err != nil || a.Job != nil || m.record(mac(2)).State != CheckingBMC {
		t.Errorf("it got the old job %v, and is %s, %v", a.Job, m.record(mac(2)).State, err)
	}
}

// TestInventoryReplyLost repeats the last report of an inventory: without an answer the agent would never reboot.
func TestInventoryReplyLost(t *testing.T) {
	w := newWorld(t)
	s := w.servers[mac(2)]
	s.absent = true
	m := w.start(nil)
	v, err := m.Boot(t.Context(), "node-1", api.BootOrder{Target: api.BootInventory})
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool { return m.record(mac(2)).State == Netbooting })
	p := s.peer(w.addr(2), "k")
	a, err := m.CheckIn(t.Context(), p, s.checkIn(token(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Job.Steps {
		if _, err := m.Report(t.Context(), p, a.Job.ID, i, api.StepReport{State: api.StepDone}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := m.Report(t.Context(), p, a.Job.ID, len(a.Job.Steps)-1, api.StepReport{State: api.StepDone}); err != nil || r.Stop {
		t.Errorf("the last report again: %+v, %v", r, err)
	}
	if end := w.wait(v.ID); end.Code != 0 {
		t.Errorf("code %d", end.Code)
	}
}

// TestReleasedIsNotReached cancels a reprovision before its write: nothing was installed, and it is no success.
func TestReleasedIsNotReached(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.runToEnd(request())
	m := w.at()
	w.servers[mac(2)].absent = true
	v, err := m.Reprovision(t.Context(), "node-1", api.Reprovision{OnFailure: api.OnFailureCancel, Erase: api.EraseExact})
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool { return m.record(mac(2)).State == Netbooting })
	if _, err := m.Cancel(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	if end := w.wait(v.ID); end.Code == 0 || end.State == runDone {
		t.Errorf("%s, code %d", end.State, end.Code)
	}
	if rec := m.record(mac(2)); rec.State != Failed || answer(rec) != bootDisk {
		t.Errorf("it is %s (%s) and boots the %s", rec.State, rec.Reason, answer(rec))
	}
}
