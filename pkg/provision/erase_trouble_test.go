package provision

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/store"
)

// forgetful refuses the first write of a run that holds a confirmation of disks.
type forgetful struct {
	store.Store
	refused *atomic.Int32
}

func (s forgetful) Txn(ctx context.Context, when []store.Compare, then ...store.Op) (bool, error) {
	for _, op := range then {
		if strings.HasPrefix(op.Key, runKeys) && bytes.Contains(op.Value, []byte(`"allowed"`)) && s.refused.Add(1) == 1 {
			return false, syscall.ENOSPC
		}
	}
	return s.Store.Txn(ctx, when, then...)
}

// TestConfirmationIsNotStored has the disk full when a run confirms its own table: it does so again.
func TestConfirmationIsNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var refused atomic.Int32
	w.mortal = func(st store.Store, b BMCs) (store.Store, BMCs) { return forgetful{st, &refused}, b }
	w.start(nil)
	if end := w.runToEnd(request()); end.Code != 0 || refused.Load() < 2 {
		t.Errorf("code %d after %d tries: %v", end.Code, refused.Load(), states(end))
	}
}

// TestHalfWrittenAfterThePlan confirms a disk with the run's plan, and fails its write: what is on it then is the run's own doing.
func TestHalfWrittenAfterThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.servers[mac(3)]
	s.found = func(r *api.DiskResult) {
		r.Disk.Contents = []string{"ext4 data"}
		if s.writes > 0 {
			r.Disk.Contents = []string{"gpt"}
		}
	}
	w.start(nil)
	id, table := w.asking(func(r *api.RunRequest) { r.Nodes = []string{"node-2"} })
	if _, err := w.at().Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.wait(id)
	s.failWrite = 1
	req := request()
	req.Nodes, req.Erase, req.Shown = []string{"node-2"}, api.EraseAsk, map[string]string{mac(3).String(): table.Rows[0].Digest}
	req.OnFailure, req.Retries, req.PowerCycleRunning = api.OnFailureRetry, 2, true
	if end := w.runToEnd(req); end.Code != 0 || s.writes != 2 {
		t.Errorf("code %d, %d writes: %v", end.Code, s.writes, states(end))
	}
}

// TestStrayCallback has the system of an earlier install call back while a new run is at work on the node: that the new run
// served the node is not true.
func TestStrayCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.start(nil)
	w.runToEnd(request())
	if err := m.transition(t.Context(), mac(3), CheckingBMC, func(r *Record) error {
		r.Run, r.Served, r.Tries = "run-2", "", 1
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rec := m.record(mac(3))
	if err := m.Callback(t.Context(), w.addr(3), "node-2", api.SignalReady, rec.Install.Callback, api.Callback{HostName: "node-2"}); err != nil {
		t.Fatal(err)
	}
	if rec := m.record(mac(3)); rec.Served != "" || rec.State != CheckingBMC {
		t.Errorf("%s, served by %q", rec.State, rec.Served)
	}
}
