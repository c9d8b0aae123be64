package provision

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

func TestExcludeAndInclude(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.runToEnd(request())
	s := w.servers[mac(2)]
	v, err := m.Exclude(t.Context(), "node-1")
	if err != nil || !v.Changed || v.Code != 0 || v.NotFenced != "" || s.on || s.softOffs != 1 {
		t.Errorf("%+v, %v; on %t after %d soft offs", v, err, s.on, s.softOffs)
	}
	if v, err := m.Exclude(t.Context(), "node-1"); err != nil || v.Changed || v.Code != 0 {
		t.Errorf("again: %+v, %v", v, err)
	}
	if _, err := m.Power(t.Context(), "node-1", api.PowerOrder{Power: api.PowerOn}); !errors.Is(err, ErrRequest) {
		t.Errorf("power on of an excluded node: %v", err)
	}
	if _, err := m.Submit(t.Context(), api.RunRequest{Provision: "image", Image: "os", OnFailure: "cancel", Nodes: []string{"node-1"}}); !errors.Is(err, ErrRequest) {
		t.Errorf("a run over an excluded node: %v", err)
	}
	v, err = m.Include(t.Context(), "node-1")
	if err != nil || !v.Changed || v.Node.State != string(Ready) || s.on {
		t.Errorf("include: %+v, %v", v, err)
	}
	if v, err := m.Include(t.Context(), "node-1"); err != nil || v.Changed {
		t.Errorf("include again: %+v, %v", v, err)
	}
}

// setBMC makes a BMC fail with err, or work again.
func (w *world) setBMC(mac rack.MAC, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[mac].bmcErr = err
}

func TestNotFenced(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.setBMC(mac(2), errSilent)
	v, err := m.Exclude(t.Context(), "node-1")
	if err != nil || v.Code != 3 || v.NotFenced == "" || !strings.Contains(v.Message, "not fenced") {
		t.Errorf("%+v, %v", v, err)
	}
	w.setBMC(mac(2), nil)
	if v, err := m.Exclude(t.Context(), "node-1"); err != nil || v.Code != 0 || v.NotFenced != "" {
		t.Errorf("with a BMC that answers again: %+v, %v", v, err)
	}
}

func TestExcludeAnswersAQuestion(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(3)].failWrite = 99
	m := w.start(nil)
	req := request()
	req.OnFailure = api.OnFailureAsk
	v, err := m.Submit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	w.asks(v.ID, 1)
	if o, err := m.Exclude(t.Context(), "node-2"); err != nil || !o.Changed || o.Code != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	if end := w.wait(v.ID); end.Code != 3 {
		t.Errorf("code %d", end.Code)
	}
}

func TestAdopt(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	if _, err := m.Adopt(t.Context(), "node-1"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a node that is off: %v", err)
	}
	s := w.servers[mac(2)]
	s.on, s.stopBoot = true, func() {}
	v, err := m.Adopt(t.Context(), "node-1")
	if err != nil || !v.Changed || v.Node.State != string(Ready) || !v.Node.Adopted || s.powerOffs != 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if answer(m.record(mac(2))) != bootDisk {
		t.Error("an adopted node would boot the microkernel")
	}
	if v, err := m.Adopt(t.Context(), "node-1"); err != nil || v.Changed {
		t.Errorf("again: %+v, %v", v, err)
	}
}

func TestPowerOrder(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.runToEnd(request())
	s := w.servers[mac(2)]
	s.deafACPI = true
	v, err := m.Power(t.Context(), "node-1", api.PowerOrder{Power: api.PowerOff})
	if err != nil || !v.Changed || s.on || s.softOffs != 1 {
		t.Errorf("%+v, %v; on %t, %d soft offs", v, err, s.on, s.softOffs)
	}
	if v, err := m.Power(t.Context(), "node-1", api.PowerOrder{Power: api.PowerOff}); err != nil || v.Changed {
		t.Errorf("off again: %+v, %v", v, err)
	}
	if v, err := m.Power(t.Context(), "node-1", api.PowerOrder{Power: api.PowerOn}); err != nil || !v.Changed || !s.on {
		t.Errorf("on: %+v, %v", v, err)
	}
	if v, err := m.Power(t.Context(), "node-1", api.PowerOrder{Power: api.PowerOff, Hard: true}); err != nil || !v.Changed || s.softOffs != 1 {
		t.Errorf("hard off: %+v, %v, %d soft offs", v, err, s.softOffs)
	}
	if _, err := m.Power(t.Context(), mac(1).String(), api.PowerOrder{Power: api.PowerOff}); !errors.Is(err, ErrRequest) {
		t.Errorf("the management node: %v", err)
	}
}

func TestBootOrders(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.runToEnd(request())
	s := w.servers[mac(2)]
	for target, boots := range map[string]int{api.BootDisk: 0, api.BootInventory: 1} {
		before := s.microkernels
		v, err := m.Boot(t.Context(), "node-1", api.BootOrder{Target: target})
		if err != nil {
			t.Fatal(err)
		}
		if end := w.wait(v.ID); end.Code != 0 || s.writes != 1 || s.microkernels-before != boots {
			t.Errorf("%s: code %d, %d writes, %d boots of the microkernel", target, end.Code, s.writes, s.microkernels-before)
		}
		if rec := m.record(mac(2)); rec.State != Ready || rec.Job != nil {
			t.Errorf("%s: %s with job %v", target, rec.State, rec.Job)
		}
	}
	if _, err := m.Boot(t.Context(), "node-1", api.BootOrder{Target: "moon"}); !errors.Is(err, ErrRequest) {
		t.Errorf("%v", err)
	}
}

// TestSecondOrderIsRefused names the first, and lets another node have its own.
func TestSecondOrderIsRefused(t *testing.T) {
	w, v := waiting(t)
	m := w.at()
	for what, err := range map[string]error{
		"reprovision": third(m.Reprovision(t.Context(), "node-1", api.Reprovision{Image: "os", OnFailure: "cancel", Erase: api.EraseExact})),
		"power":       third(m.Power(t.Context(), "node-1", api.PowerOrder{Power: api.PowerOff})),
		"exclude":     third(m.Exclude(t.Context(), "node-1")),
		"adopt":       third(m.Adopt(t.Context(), "node-1")),
		"replace":     third(m.Replace(t.Context(), "node-1", api.Replace{BMC: "52:54:00:00:01:99"})),
	} {
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), v.ID) {
			t.Errorf("%s: %v, want ErrBusy with %s", what, err, v.ID)
		}
	}
}

func third[V any](_ V, err error) error { return err }

// TestTwoRunsOfDifferentNodes go on beside each other.
func TestTwoRunsOfDifferentNodes(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(2)].absent = true
	m := w.start(nil)
	req := request()
	req.Nodes = []string{"node-1"}
	if _, err := m.Submit(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	req.Nodes = []string{"node-2"}
	if v := w.runToEnd(req); v.Code != 0 {
		t.Errorf("code %d: %v", v.Code, states(v))
	}
}

// TestReplace gives a node another mainboard: name, address and state stay.
func TestReplace(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.runToEnd(request())
	before, _ := m.Node(t.Context(), "node-1")
	if _, err := m.Replace(t.Context(), "node-1", api.Replace{Primary: mac(3).String()}); !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), "node-2") {
		t.Errorf("a MAC of another row: %v", err)
	}
	v, err := m.Replace(t.Context(), "node-1", api.Replace{Primary: "52:54:00:00:00:99", BMC: "52:54:00:00:01:99"})
	if err != nil || !v.Changed {
		t.Fatalf("%+v, %v", v, err)
	}
	if r, err := m.Reread(t.Context()); err != nil || len(r.Replaced)+len(r.Added)+len(r.Removed) != 0 {
		t.Errorf("before the file has it: %+v, %v", r, err)
	}
	w.kill() // between the order and the file
	w.csv = strings.NewReplacer("00:00:00:02,", "00:00:00:99,", "00:00:01:02", "00:00:01:99").Replace(twoRows)
	m = w.start(nil)
	after, err := m.Node(t.Context(), "node-1")
	if err != nil || after.PrimaryMAC != "52:54:00:00:00:99" || after.Address != before.Address || after.BMCAddress != before.BMCAddress ||
		after.State != string(Ready) || after.Image != before.Image {
		t.Errorf("after: %+v, %v\nbefore: %+v", after, err, before)
	}
	if m.record(mac(2)) != nil {
		t.Error("the old record is still there")
	}
	w.kill()
	if m = w.start(nil); m.record(mac(0x99)) == nil {
		t.Error("the record did not outlive the daemon")
	}
}

func TestReread(t *testing.T) {
	w, _ := waiting(t)
	m := w.at()
	w.csv = oneRow
	if _, err := m.Reread(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("the row of a node at work went: %v, want ErrBusy", err)
	}
	w.csv = twoRows + "52:54:00:00:00:04,52:54:00:00:01:04,,,\n"
	if v, err := m.Reread(t.Context()); err != nil || len(v.Added) != 1 || m.record(mac(4)) == nil {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestDeadlineStandsStill kills the daemon while a node waits: the time that it waited is not given again, nor is the time
// taken that nobody ran.
func TestDeadlineStandsStill(t *testing.T) {
	w := newWorld(t)
	w.servers[mac(2)].absent = true
	req := request()
	req.Nodes = []string{"node-1"}
	tune := func(c *Config) { c.Deadlines.Netboot = time.Hour }
	m := w.start(tune)
	v, err := m.Submit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(m *Machine) bool { return m.record(mac(2)).State == Netbooting })
	m.alive(mac(2), func(l *live) { l.moved = l.moved.Add(-40 * time.Minute) })
	w.kill()
	m = w.start(tune)
	left := m.timeLeft(m.record(mac(2)))
	if left > 21*time.Minute || left < 19*time.Minute {
		t.Errorf("%s are left, want 20 minutes", left)
	}
	m.alive(mac(2), func(l *live) { l.moved = l.moved.Add(-25 * time.Minute) })
	w.kill()
	w.start(tune)
	if end := w.wait(v.ID); end.Code != 1 {
		t.Errorf("code %d: %v", end.Code, states(end))
	}
}

// TestStranger reports a known machine with another MAC.
func TestStranger(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	const uuid = "4c4c4544-0042-3510-8052-b4c04f4d3132"
	if err := m.update(t.Context(), mac(2), func(r *Record) error {
		r.Identity = &api.Identity{UUID: strings.ToUpper(uuid)}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := m.update(t.Context(), mac(3), func(r *Record) error {
		r.Identity = &api.Identity{UUID: "00000000-0000-0000-0000-000000000000"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m.Stranger(mac(0x77), uuid)
	m.Stranger(mac(0x78), "00000000-0000-0000-0000-000000000000")
	if l := m.known(mac(2)); len(l.evidence) != 1 || !strings.Contains(l.evidence[0].Message, "racker node replace node-1 --primary "+mac(0x77).String()) {
		t.Errorf("evidence %+v", l.evidence)
	}
	if l := m.known(mac(3)); len(l.evidence) != 0 {
		t.Errorf("a UUID of zeros names a machine: %+v", l.evidence)
	}
}
