package provision

import (
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// stagedInVain gives a world in which an apply ordered a first boot of node-1 and failed before the reboot, and the digest that
// the node still has.
func stagedInVain(t *testing.T, fails func(*sshNode)) (w *world, first string, v api.RunView) {
	t.Helper()
	w, digest := ready(t, changes()[api.CostWipeRoot])
	w.remote.at(mac(2), fails)
	v = w.apply(api.ApplyOrder{Digest: digest, Cost: api.CostWipeRoot, Wipe: true})
	if v.Code != codeFailed {
		t.Fatalf("run: %+v", v)
	}
	w.remote.at(mac(2), func(s *sshNode) { s.noBootID, s.readOnly = false, false })
	return w, w.at().record(mac(2)).Install.Config, v
}

func (w *world) armed() (armed bool) {
	w.remote.at(mac(2), func(s *sshNode) { armed = s.staged != "" })
	return armed
}

// upgraded updates node-1 and finds how often its root was made anew.
func (w *world) upgraded() {
	w.t.Helper()
	v, err := w.at().UpgradeOS(w.t.Context(), "node-1", api.OSUpgrade{Version: "2.0.0"})
	if err != nil {
		w.t.Fatal(err)
	}
	if v = w.wait(v.ID); v.Code != 0 {
		w.t.Fatalf("upgrade: %+v", v)
	}
	w.remote.at(mac(2), func(s *sshNode) {
		if s.boots != 1 || s.roots != 0 {
			w.t.Errorf("%d boots, %d new roots", s.boots, s.roots)
		}
	})
}

// An apply that fails before its reboot takes the first boot back that it ordered.
func TestApplyUnstagesItself(t *testing.T) {
	w, _, v := stagedInVain(t, func(s *sshNode) { s.noBootID = true })
	rec := w.at().record(mac(2))
	if w.armed() || rec.Install.Renew != nil || rec.State != Ready || !strings.Contains(v.Reason, "boot ID") {
		t.Errorf("armed %t, %s, install %+v: %s", w.armed(), rec.State, rec.Install, v.Reason)
	}
	if view, err := w.at().Config(t.Context(), "node-1"); err != nil || view.Staged != "" {
		t.Errorf("staged %q, %v", view.Staged, err)
	}
	w.upgraded()
}

// A first boot that could not be taken back is told of, and no update of the OS begins it.
func TestUpgradeOSAfterStage(t *testing.T) {
	w, _, v := stagedInVain(t, func(s *sshNode) { s.noBootID, s.readOnly = true, true })
	if !w.armed() || !strings.Contains(v.Reason, "its next boot erases ROOT") || !strings.Contains(v.Reason, "read-only file system") {
		t.Errorf("armed %t: %s", w.armed(), v.Reason)
	}
	token := w.at().record(mac(2)).Install.Renew.Token
	w.upgraded()
	if w.armed() {
		t.Error("it is still armed")
	}
	if err := w.at().Callback(t.Context(), w.addr(2), "node-1", api.SignalReady, token, api.Callback{HostName: "node-1"}); err == nil {
		t.Error("the token of the root that was never made was taken")
	}
}

// The way back from a first boot that did not happen costs nothing, and is no answer without a question to the node.
func TestApplyNothingAfterStage(t *testing.T) {
	w, first, _ := stagedInVain(t, func(s *sshNode) { s.noBootID, s.readOnly = true, true })
	if view, err := w.at().Config(t.Context(), "node-1"); err != nil || view.Staged == "" || view.AppliedDigest != first {
		t.Errorf("%+v, %v", view, err)
	}
	if v := w.apply(api.ApplyOrder{Digest: first, Cost: api.CostNothing}); v.Code != 0 {
		t.Errorf("run: %+v", v)
	}
	if err := w.appliedOnce(first, sshNode{}); err != nil {
		t.Error(err)
	}
}

// A run that is cancelled between the order of a first boot and the reboot leaves the node as it was.
func TestApplyCancelledAtItsReboot(t *testing.T) {
	for state, want := range map[State]bool{Ready: true, Installed: false, Booted: false} {
		a := &applying{Step: applyReboot}
		if got := a.mayStop(&Record{State: state}); got != want {
			t.Errorf("%s: %t", state, got)
		}
	}
}

// A node whose health command did not succeed is known as such until it does, or none is ordered.
func TestApplyUnproved(t *testing.T) {
	for _, cost := range []string{api.CostLive, api.CostWipeRoot} {
		t.Run(cost, func(t *testing.T) {
			w, digest := ready(t, changes()[cost])
			w.at().cfg.Deadlines.Boot = time.Second
			unproved := func(want bool) {
				t.Helper()
				v, err := w.at().Config(t.Context(), "node-1")
				if err != nil || v.Unproved != want || v.AppliedDigest != digest {
					t.Errorf("unproved %t, applied %s, %v", v.Unproved, v.AppliedDigest, err)
				}
			}
			w.remote.at(mac(2), func(s *sshNode) { s.sick = true })
			order := api.ApplyOrder{Digest: digest, Cost: cost, Wipe: true, Health: "is-healthy"}
			if v := w.apply(order); v.Code != codeFailed || !strings.Contains(v.Reason, "the health command failed") {
				t.Fatalf("run: %+v", v)
			}
			unproved(true)
			order.Cost = api.CostNothing
			if v := w.apply(order); v.Code != codeFailed {
				t.Errorf("still sick: %+v", v)
			}
			unproved(true)
			w.remote.at(mac(2), func(s *sshNode) { s.sick = false })
			if v := w.apply(order); v.Code != 0 {
				t.Errorf("well: %+v", v)
			}
			unproved(false)
		})
	}
}
