package provision

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// oneRow is twoRows without the row of node-1.
var oneRow = strings.Replace(twoRows, "52:54:00:00:00:02,52:54:00:00:01:02,,,\n", "", 1)

// waiting gives a run whose node-1 is on and checked nothing in yet.
func waiting(t *testing.T) (*world, api.RunView) {
	t.Helper()
	w := newWorld(t)
	w.servers[mac(2)].absent = true
	w.start(nil)
	v, err := w.at().Submit(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool {
		_, rec := m.node(mac(2))
		return rec != nil && rec.State == Netbooting
	})
	return w, v
}

func TestRowGoneDuringRunDisarmsItsNode(t *testing.T) {
	w, v := waiting(t)
	w.kill()
	w.csv = oneRow
	w.start(nil)
	if end := w.wait(v.ID); end.Code == 0 {
		t.Errorf("code %d", end.Code)
	}
	w.csv = twoRows
	if err := w.at().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, rec := w.at().node(mac(2)); rec.State != Failed || answer(rec) != bootDisk {
		t.Errorf("the row is back, and its node is %s and boots from the %s", rec.State, answer(rec))
	}
}

func TestRowGoneDuringTheCheck(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(2)].bmcErr = errSilent
	m := w.start(nil)
	v, err := m.Submit(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	w.kill()
	w.csv = oneRow
	w.start(nil)
	end := w.wait(v.ID)
	if end.State == runDone || len(end.Skipped) != 1 || !strings.Contains(end.Skipped[0], "nodes.csv") {
		t.Errorf("%s, skipped %v", end.State, end.Skipped)
	}
}

func TestNodeLeftUnderWayIsTakenInAgain(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	for _, to := range []State{CheckingBMC, Powering, Netbooting} {
		err := m.transition(t.Context(), mac(2), to, func(r *Record) error {
			r.Run = "run-old"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Errorf("code %d: %v %s", v.Code, states(v), v.Reason)
	}
}

// TestHalfWrittenNodeThatIsOn leaves a node alone that waits in the microkernel after its write failed.
func TestHalfWrittenNodeThatIsOn(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].failWrite = 99
	w.start(nil)
	w.runToEnd(request())
	req := request()
	req.Nodes = []string{"node-2"}
	if v := w.runToEnd(req); v.Code != 3 || len(v.Skipped) != 1 {
		t.Errorf("code %d, skipped %v", v.Code, v.Skipped)
	}
	if _, rec := w.at().node(mac(3)); rec.State != Failed || answer(rec) != bootMicrokernel {
		t.Errorf("it is %s and boots from the %s", rec.State, answer(rec))
	}
}

// TestOtherReadingsDoNotDecide lets every question but the run's fail, as a BMC with one session does.
func TestOtherReadingsDoNotDecide(t *testing.T) {
	w := newWorld(t)
	s := w.servers[mac(2)]
	s.on, s.stopBoot = true, func() {}
	w.servers[mac(3)].bmcErr = errSilent
	m := w.start(nil)
	v, err := m.Submit(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool { return m.power(mac(2)) == api.PowerOn })
	w.mu.Lock()
	s.bmcErr = errSilent
	w.mu.Unlock()
	if _, err := m.Nodes(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	s.bmcErr, w.servers[mac(3)].bmcErr = nil, nil
	w.mu.Unlock()
	if end := w.wait(v.ID); len(end.Skipped) != 1 || s.powerOffs != 0 {
		t.Errorf("skipped %v, %d power-offs of a running server", end.Skipped, s.powerOffs)
	}
}

func TestNodeNamedTwiceIsDrivenOnce(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	req := request()
	req.Nodes = []string{"node-1", mac(2).String()}
	if v := w.runToEnd(req); len(v.Nodes) != 1 || v.Code != 0 {
		t.Errorf("%d nodes, code %d", len(v.Nodes), v.Code)
	}
}

func TestBrokenRowsRefuseARunAndLeaveTheRack(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.csv = "no header\n"
	if _, err := m.Submit(t.Context(), request()); err == nil {
		t.Error("a run began on a broken nodes.csv")
	}
	if n := len(m.Rack().Servers()); n != 2 {
		t.Errorf("%d servers, want the 2 from before", n)
	}
}

func TestRunKeepsItsRows(t *testing.T) {
	w, _ := waiting(t)
	w.csv = oneRow
	if _, err := w.at().Submit(t.Context(), request()); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	if n := len(w.at().Rack().Servers()); n != 2 {
		t.Errorf("the refused run changed the rows under the one in progress: %d servers", n)
	}
}

// TestRunIsDrivenThoughItsCallerWent submits with a context that ends while the run is stored.
func TestRunIsDrivenThoughItsCallerWent(t *testing.T) {
	for range 6 {
		w := newWorld(t)
		m := w.start(nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m.needs.Events = canceller{w.bus, cancel}
		v, err := m.Submit(ctx, request())
		if err != nil {
			t.Fatalf("the run is stored: %v", err)
		}
		w.wait(v.ID)
		w.kill()
	}
}

func TestImageOfARunStays(t *testing.T) {
	w, v := waiting(t)
	m := w.at()
	remove := func() error { return w.library.Remove(t.Context(), w.image.ID) }
	if err := m.RemoveImage(t.Context(), w.image, false, remove); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	if _, err := m.Cancel(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	w.wait(v.ID)
	if err := m.RemoveImage(t.Context(), w.image, false, remove); err != nil {
		t.Error(err)
	}
}

// TestRefusedBMCIsNotAskedAgain counts the orders to a BMC that refuses the user once it is to be powered.
func TestRefusedBMCIsNotAskedAgain(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	b := &refuser{world: w}
	m.needs.BMCs = b
	req := request()
	req.OnFailure, req.Retries, req.Nodes = "retry", 5, []string{"node-1"}
	if v := w.runToEnd(req); v.Code != 6 || b.orders != 1 {
		t.Errorf("code %d, %d orders", v.Code, b.orders)
	}
}

// refuser is a BMC that tells its power state and refuses orders.
type refuser struct {
	*world
	orders int
}

func (b *refuser) SetPower(context.Context, *rack.Node, netip.Addr, bool) error {
	b.orders++
	return errRefused
}

// TestBMCThatFailsAfterPowerOn says so when the server has checked in already.
func TestBMCThatFailsAfterPowerOn(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	m.needs.BMCs = late{w}
	req := request()
	req.Nodes = []string{"node-1"}
	if v := w.runToEnd(req); v.Code != 0 {
		t.Errorf("code %d: %+v", v.Code, v.Nodes[0].Reason)
	}
}

// late is a BMC that switches on, and then reports an error.
type late struct{ *world }

func (b late) SetPower(ctx context.Context, n *rack.Node, a netip.Addr, on bool) error {
	if err := b.world.SetPower(ctx, n, a, on); err != nil || !on {
		return err
	}
	for ctx.Err() == nil {
		if _, rec := b.at().node(n.Primary); rec.State != Powering {
			return errSilent
		}
		pause(ctx, time.Millisecond)
	}
	return ctx.Err()
}
