package provision

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// ready gives a world with node-1 installed, and the digest of the config that was sent since.
func ready(t *testing.T, next api.NodeConfig) (*world, string) {
	t.Helper()
	w := newWorld(t)
	w.start(func(c *Config) { c.Deadlines.Reach = 50 * time.Millisecond })
	return w, w.installDeclared(next)
}

// TestApply pays each cost, once.
func TestApply(t *testing.T) {
	for cost, want := range map[string]sshNode{
		api.CostLive: {}, api.CostReboot: {boots: 1}, api.CostWipeRoot: {boots: 1, roots: 1},
	} {
		t.Run(cost, func(t *testing.T) {
			w, digest := ready(t, changes()[cost])
			v := w.apply(api.ApplyOrder{Digest: digest, Cost: cost, Wipe: true})
			if v.Code != 0 || v.State != runDone || len(v.Nodes) != 1 {
				t.Fatalf("run: %+v", v)
			}
			for _, s := range v.Stages {
				if s.State != "done" {
					t.Errorf("stage %+v", s)
				}
			}
			if err := w.appliedOnce(digest, want); err != nil {
				t.Error(err)
			}
			again, err := w.at().Apply(t.Context(), mac(2).String(), api.ApplyOrder{Digest: digest, Cost: api.CostLive})
			if err != nil || again.Changed {
				t.Errorf("once more: %+v, %v", again, err)
			}
			if w.servers[mac(2)].writes != 1 || w.servers[mac(2)].powerOffs != 0 {
				t.Errorf("%d writes, %d power-offs", w.servers[mac(2)].writes, w.servers[mac(2)].powerOffs)
			}
		})
	}
}

// A config that changes nothing on the node is noted, and the node is not asked.
func TestApplyNothing(t *testing.T) {
	w, digest := ready(t, changes()[api.CostNothing])
	v, err := w.at().Apply(t.Context(), mac(2).String(), api.ApplyOrder{Digest: digest, Cost: api.CostNothing})
	if err != nil || v.Changed {
		t.Fatalf("%+v, %v", v, err)
	}
	if err := w.appliedOnce(digest, sshNode{}); err != nil {
		t.Error(err)
	}
	w.remote.at(mac(2), func(s *sshNode) {
		if len(s.scripts) > 0 {
			t.Errorf("scripts: %q", s.scripts)
		}
	})
	if n, err := w.at().Node(t.Context(), "node-1"); err != nil || n.WantedOS != "2.0.0" {
		t.Errorf("wanted OS %q, %v", n.WantedOS, err)
	}
}

// A reinstall is an install: the disk is written once more, with the config.
func TestApplyReinstall(t *testing.T) {
	next := changes()[api.CostReinstall]
	next.Disk.Serial = "D" + mac(2).String() // the one that it has, which only its agent knows
	w, digest := ready(t, next)
	v, err := w.at().Apply(t.Context(), mac(2).String(), api.ApplyOrder{Digest: digest, Cost: api.CostReinstall, Wipe: true, Erase: api.EraseExact})
	if err != nil {
		t.Fatal(err)
	}
	if v = w.wait(v.ID); v.Code != 0 || v.Request.Provision != provisionFlatcar {
		t.Fatalf("run: %+v", v)
	}
	if rec := w.at().record(mac(2)); rec.Install.Config != digest || w.servers[mac(2)].writes != 2 {
		t.Errorf("install %+v, %d writes", rec.Install, w.servers[mac(2)].writes)
	}
}

func TestApplyRefused(t *testing.T) {
	w, _ := ready(t, declaring(hosts("a")))
	digests := map[string]string{}
	for cost, c := range changes() {
		digests[cost] = w.put(c)
	}
	for name, tt := range map[string]struct {
		node string
		o    api.ApplyOrder
		want error
		text string
	}{
		"too dear":          {"node-1", api.ApplyOrder{Digest: digests[api.CostReboot], Cost: api.CostLive}, ErrWipe, "costs reboot (kernel arguments)"},
		"wipe not named":    {"node-1", api.ApplyOrder{Digest: digests[api.CostWipeRoot], Cost: api.CostReinstall}, ErrWipe, "erases data"},
		"reinstall":         {"node-1", api.ApplyOrder{Digest: digests[api.CostReinstall], Cost: api.CostReinstall}, ErrWipe, "install disk"},
		"wiping is no cost": {"node-1", api.ApplyOrder{Digest: digests[api.CostReinstall], Cost: api.CostLive, Wipe: true}, ErrWipe, "costs reinstall"},
		"no such cost":      {"node-1", api.ApplyOrder{Digest: digests[api.CostLive], Cost: "free"}, ErrRequest, `cost "free"`},
		"no such config":    {"node-1", api.ApplyOrder{Digest: strings.Repeat("0", 64), Cost: api.CostLive}, ErrRequest, "no such config"},
		"no digest":         {"node-1", api.ApplyOrder{Cost: api.CostLive}, ErrRequest, "no such config"},
		"kept for nothing":  {"node-1", api.ApplyOrder{Digest: digests[api.CostLive], Cost: api.CostLive, Keep: []string{"/var"}}, ErrRequest, "nothing is kept"},
		"quote in a path": {"node-1", api.ApplyOrder{Digest: digests[api.CostWipeRoot], Cost: api.CostWipeRoot, Wipe: true, Keep: []string{"/a'b"}},
			ErrRequest, "no quotes"},
		"not installed":   {"node-2", api.ApplyOrder{Digest: digests[api.CostLive], Cost: api.CostLive}, ErrRequest, "not ready"},
		"management node": {mac(1).String(), api.ApplyOrder{Digest: digests[api.CostLive], Cost: api.CostLive}, ErrRequest, "no order may touch"},
	} {
		_, err := w.at().Apply(t.Context(), tt.node, tt.o)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.remote.at(mac(2), func(s *sshNode) {
		if len(s.scripts) > 0 || s.boots > 0 {
			t.Errorf("it was touched: %d boots, %q", s.boots, s.scripts)
		}
	})
}

// One order per node: neither a run nor another apply gets in between.
func TestApplyIsAlone(t *testing.T) {
	w, digest := ready(t, changes()[api.CostReboot])
	w.remote.at(mac(2), func(s *sshNode) { s.deaf = true })
	v, err := w.at().Apply(t.Context(), "node-1", api.ApplyOrder{Digest: digest, Cost: api.CostReboot})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.at().Apply(t.Context(), "node-1", api.ApplyOrder{Digest: digest, Cost: api.CostReboot}); !errors.Is(err, ErrBusy) {
		t.Errorf("another apply: %v", err)
	}
	if _, err := w.at().Power(t.Context(), "node-1", api.PowerOrder{Power: api.PowerOff}); !errors.Is(err, ErrBusy) {
		t.Errorf("a power order: %v", err)
	}
	w.remote.at(mac(2), func(s *sshNode) { s.deaf = false })
	if v = w.wait(v.ID); v.Code != 0 {
		t.Errorf("run: %+v", v)
	}
}

// A change that breaks off leaves nobody knows what: the way back undoes all that may be there.
func TestApplyThatFails(t *testing.T) {
	w, digest := ready(t, declaring(hosts("b")+"  directories: [{path: /srv/new}]\n"))
	first := w.at().record(mac(2)).Install.Config
	w.remote.at(mac(2), func(s *sshNode) { s.refuses = "put /etc/hosts: exit code 1" })
	v := w.apply(api.ApplyOrder{Digest: digest, Cost: api.CostLive})
	if v.Code != codeFailed || !strings.Contains(v.Reason, "put /etc/hosts: exit code 1") {
		t.Errorf("run: %+v", v)
	}
	rec := w.at().record(mac(2))
	if d := cmp.Diff([]string{digest}, rec.Install.Attempts); d != "" || rec.State != Ready || rec.Install.Config != first {
		t.Errorf("install %+v, %s", rec.Install, rec.State)
	}
	view, err := w.at().Config(t.Context(), "node-1")
	if err != nil || len(view.Attempted) != 1 || view.AppliedDigest != first {
		t.Errorf("%+v, %v", view, err)
	}
	w.remote.at(mac(2), func(s *sshNode) { s.refuses, s.scripts = "", nil })
	if v = w.apply(api.ApplyOrder{Digest: first, Cost: api.CostLive}); v.Code != 0 {
		t.Errorf("way back: %+v", v)
	}
	if err := w.appliedOnce(first, sshNode{}); err != nil {
		t.Error(err)
	}
	w.remote.at(mac(2), func(s *sshNode) {
		if !strings.Contains(s.scripts[0], "put '/etc/hosts'") || !strings.Contains(s.scripts[0], "rmdir '/srv/new'") {
			t.Errorf("the way back: %s", s.scripts[0])
		}
	})
}

func TestApplyUnreached(t *testing.T) {
	w, digest := ready(t, changes()[api.CostLive])
	w.remote.at(mac(2), func(s *sshNode) { s.gone = 1 })
	if v := w.apply(api.ApplyOrder{Digest: digest, Cost: api.CostLive}); v.Code != 0 {
		t.Errorf("a node that is slow: %+v", v)
	}
	digest = w.put(declaring(hosts("c")))
	w.remote.at(mac(2), func(s *sshNode) { s.lost = true })
	if v := w.apply(api.ApplyOrder{Digest: digest, Cost: api.CostLive}); v.Code != codeUnreached || !strings.Contains(v.Reason, errGone.Error()) {
		t.Errorf("a node that is gone: %+v", v)
	}
	if rec := w.at().record(mac(2)); rec.State != Ready {
		t.Errorf("it is %s", rec.State)
	}
}

// A node that does not come back from its reboot has failed, and is ready again when its new root calls back late.
func TestApplyWithoutReturn(t *testing.T) {
	for cost, state := range map[string]State{api.CostReboot: Failed, api.CostWipeRoot: Failed} {
		t.Run(cost, func(t *testing.T) {
			w := newWorld(t)
			w.start(nil)
			digest := w.installDeclared(changes()[cost])
			w.kill()
			w.start(func(c *Config) { c.Deadlines.Boot = 100 * time.Millisecond })
			w.servers[mac(2)].mute = true
			w.remote.at(mac(2), func(s *sshNode) { s.deaf = cost == api.CostReboot })
			v := w.apply(api.ApplyOrder{Digest: digest, Cost: cost, Wipe: true})
			rec := w.at().record(mac(2))
			if v.Code != codeUnreached || rec.State != state || !strings.Contains(rec.Reason, "not back") || rec.Awaited {
				t.Fatalf("run %+v; %s: %s", v, rec.State, rec.Reason)
			}
			if cost != api.CostWipeRoot {
				return
			}
			err := w.at().Callback(t.Context(), w.addr(2), "node-1", api.SignalReady, rec.Install.Renew.Token, api.Callback{HostName: "node-1"})
			if rec = w.at().record(mac(2)); err != nil || rec.State != Ready || rec.Install.Config != digest || rec.Install.Renew != nil {
				t.Errorf("late callback: %v, %s, %+v", err, rec.State, rec.Install)
			}
		})
	}
}

// The token of a system that is wiped opens nothing once the new root is on its way.
func TestApplyOldToken(t *testing.T) {
	w, digest := ready(t, changes()[api.CostWipeRoot])
	old := w.at().record(mac(2)).Install.Callback
	if v := w.apply(api.ApplyOrder{Digest: digest, Cost: api.CostWipeRoot, Wipe: true}); v.Code != 0 {
		t.Fatalf("run: %+v", v)
	}
	if err := w.at().Callback(t.Context(), w.addr(2), "node-1", api.SignalReady, old, api.Callback{}); err == nil {
		t.Error("the old token was taken")
	}
}

// A first boot that was ordered and did not happen is taken back before anything else is done.
func TestApplyTakesAFirstBootBack(t *testing.T) {
	w, digest := ready(t, changes()[api.CostWipeRoot])
	first := w.at().record(mac(2)).Install.Config
	err := w.at().update(t.Context(), mac(2), func(r *Record) error {
		r.Install.Renew = &renewal{Token: "t", Digest: digest}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.remote.at(mac(2), func(s *sshNode) { s.staged = "x y t" })
	reboot := changes()[api.CostReboot]
	if v := w.apply(api.ApplyOrder{Digest: w.put(reboot), Cost: api.CostReboot}); v.Code != 0 {
		t.Fatalf("run: %+v", v)
	}
	w.remote.at(mac(2), func(s *sshNode) {
		if s.roots != 0 || s.boots != 1 {
			t.Errorf("%d boots, %d new roots", s.boots, s.roots)
		}
	})
	if first == w.at().record(mac(2)).Install.Config {
		t.Error("the config was not noted")
	}
}

func TestApplyCancelled(t *testing.T) {
	w, digest := ready(t, changes()[api.CostLive])
	w.remote.at(mac(2), func(s *sshNode) { s.lost = true })
	w.at().cfg.Deadlines.Reach = time.Minute
	v, err := w.at().Apply(t.Context(), "node-1", api.ApplyOrder{Digest: digest, Cost: api.CostLive, Health: "true"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.at().Cancel(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	w.remote.at(mac(2), func(s *sshNode) { s.lost = false })
	if v = w.wait(v.ID); v.State != runCancelled && v.State != runDone {
		t.Errorf("run: %+v", v)
	}
}

func TestHealth(t *testing.T) {
	w, digest := ready(t, changes()[api.CostNothing])
	v, err := w.at().Apply(t.Context(), "node-1", api.ApplyOrder{Digest: digest, Cost: api.CostNothing, Health: "curl -f localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if v = w.wait(v.ID); v.Code != 0 || len(v.Stages) != 1 || v.Stages[0].Name != "Health" || v.Stages[0].State != "done" {
		t.Errorf("run: %+v", v)
	}
	w.remote.at(mac(2), func(s *sshNode) {
		if len(s.scripts) != 1 || !strings.Contains(s.scripts[0], "curl -f localhost") {
			t.Errorf("scripts: %q", s.scripts)
		}
		s.refuses = "connection refused"
	})
	w.at().cfg.Deadlines.Boot = 50 * time.Millisecond
	v = w.apply(api.ApplyOrder{Digest: digest, Cost: api.CostNothing, Health: "curl -f localhost"})
	if v.Code != codeFailed || !strings.Contains(v.Reason, "the health command failed: connection refused") {
		t.Errorf("run: %+v", v)
	}
}

func TestUpgradeOS(t *testing.T) {
	w, _ := ready(t, declaring(hosts("a")))
	upgrade := func(version string) (api.RunView, error) {
		v, err := w.at().UpgradeOS(t.Context(), "node-1", api.OSUpgrade{Version: version})
		if err == nil && v.ID != "" && v.State == runRunning {
			v = w.wait(v.ID)
		}
		return v, err
	}
	if v, err := upgrade("2.0.0"); err != nil || v.Code != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	n, err := w.at().Node(t.Context(), "node-1")
	if err != nil || n.OSVersion != "2.0.0" || n.WantedOS != "2.0.0" || n.OS != "Test OS 2.0.0" {
		t.Errorf("node: %+v, %v", n, err)
	}
	if v, err := upgrade("2.0.0"); err != nil || v.Changed {
		t.Errorf("once more: %+v, %v", v, err)
	}
	for _, bad := range []string{"", "latest", "1", "1.2.3'; reboot", "9.9.9"} {
		if _, err := upgrade(bad); !errors.Is(err, ErrRequest) {
			t.Errorf("version %q: %v", bad, err)
		}
	}
	w.remote.at(mac(2), func(s *sshNode) { s.deaf, s.update = false, "" })
	// A node whose new system did not start comes back with the old one.
	w.remote.at(mac(2), func(s *sshNode) { s.rollsBack = true })
	if v, err := upgrade("3.0.0"); err != nil || v.Code != codeFailed || !strings.Contains(v.Reason, `it runs version "2.0.0" after its reboot, not 3.0.0`) {
		t.Errorf("%+v, %v", v, err)
	}
}

// An adopted node is not racker's to change.
func TestApplyAdopted(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.servers[mac(3)].on = true
	if _, err := w.at().Adopt(t.Context(), mac(3).String()); err != nil {
		t.Fatal(err)
	}
	_, err := w.at().Apply(t.Context(), rack.MAC(mac(3)).String(), api.ApplyOrder{Digest: "x", Cost: api.CostLive})
	if !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), "not installed by racker") {
		t.Errorf("%v", err)
	}
}
