package provision

import (
	"context"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/store"
)

// fullDisk is a store whose disk is full for a while.
type fullDisk struct {
	store.Store
	full    *atomic.Bool
	refused *atomic.Int32
}

func (s fullDisk) Txn(ctx context.Context, when []store.Compare, then ...store.Op) (bool, error) {
	if s.full.Load() {
		s.refused.Add(1)
		return false, syscall.ENOSPC
	}
	return s.Store.Txn(ctx, when, then...)
}

// TestDiskFull holds a run up while its state cannot be written, says so, and goes on when it can, with nothing done twice.
func TestDiskFull(t *testing.T) {
	w := newWorld(t)
	var full atomic.Bool
	var refused atomic.Int32
	w.mortal = func(st store.Store, b BMCs) (store.Store, BMCs) { return fullDisk{st, &full, &refused}, b }
	w.onWrite = func() { full.Store(refused.Load() == 0) } // from the first write of a disk on
	m := w.start(nil)
	v, err := m.Submit(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool { return strings.Contains(m.Trouble(), "no space left") })
	if v, err := m.RunView(v.ID); err != nil || v.State != runRunning {
		t.Errorf("the run is %s, %v", v.State, err)
	}
	if _, err := m.Submit(t.Context(), api.RunRequest{Provision: "image", Image: "os", OnFailure: "cancel", Nodes: []string{"node-1"}}); err == nil {
		t.Error("a second run was taken")
	}
	w.mu.Lock()
	w.onWrite = nil
	w.mu.Unlock()
	full.Store(false)
	if end := w.wait(v.ID); end.Code != 0 {
		t.Errorf("code %d: %v %s", end.Code, states(end), end.Reason)
	}
	if m.Trouble() != "" {
		t.Errorf("still in trouble: %s", m.Trouble())
	}
	for _, s := range w.servers {
		if s.writes != 1 || s.cut != 0 {
			t.Errorf("%s: %d writes, %d power-offs after", s.primary, s.writes, s.cut)
		}
	}
}

// TestClockJumps moves the times that a record has by an hour in mid-run, as a clock that jumps leaves them: deadlines go by
// the monotonic clock and are not touched.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forth": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			w, v := waiting(t)
			m := w.at()
			err := m.update(t.Context(), mac(2), func(r *Record) error {
				r.Since = r.Since.Add(jump)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			before := m.timeLeft(m.record(mac(2)))
			w.kill()
			m = w.start(nil) // the stored times are of the other clock
			rec := m.record(mac(2))
			if after := m.timeLeft(rec); after > before || after < before-10*time.Second || rec.State != Netbooting {
				t.Errorf("%s: %s left, before %s", rec.State, after, before)
			}
			if _, err := m.Cancel(t.Context(), v.ID); err != nil {
				t.Fatal(err)
			}
			if end := w.wait(v.ID); end.State == runRunning {
				t.Errorf("the run is %s", end.State)
			}
		})
	}
}
