package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

func config(host, butane string) api.NodeConfig {
	return api.NodeConfig{HostName: host, Butane: []api.ButaneSource{{Name: "cl/" + host + ".yaml", Butane: butane}}}
}

// send puts configs of both servers, and gives a request that names them.
func (w *world) send(butane string) api.RunRequest {
	w.t.Helper()
	req := api.RunRequest{Provision: "flatcar", Image: "os", OnFailure: "cancel", PowerCycleRunning: true, Erase: api.EraseExact, Configs: map[string]string{}}
	for _, last := range []byte{2, 3} {
		n, _ := w.at().node(mac(last))
		v, err := w.at().PutConfig(w.t.Context(), n.Name, config(n.Name, butane))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Configs[mac(last).String()] = v.WantedDigest
	}
	return req
}

func TestConfigIsInstalledAndApplied(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	before, err := w.at().Config(t.Context(), mac(2).String())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(api.ConfigView{}, before); d != "" {
		t.Errorf("before anything was sent (-want +got):\n%s", d)
	}
	req := w.send("one")
	if v := w.runToEnd(req); v.Code != 0 {
		t.Fatalf("run: %+v", v)
	}
	for text, digest := range req.Configs {
		v, err := w.at().Config(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		if v.AppliedDigest != digest || v.WantedDigest != digest || v.AppliedAt.IsZero() || v.Applied.Butane[0].Butane != "one" {
			t.Errorf("config of %s: %+v", text, v)
		}
	}
	if v, err := w.at().Submit(t.Context(), req); err != nil || v.Changed {
		t.Errorf("the same once more: %+v, %v", v, err)
	}
	other := w.send("two")
	v, err := w.at().Config(t.Context(), mac(2).String())
	if err != nil || v.Wanted.Butane[0].Butane != "two" || v.Applied.Butane[0].Butane != "one" {
		t.Errorf("after another was sent: %+v, %v", v, err)
	}
	// A daemon that was started again knows as much.
	w.kill()
	w.start(nil)
	if v, err := w.at().Config(t.Context(), mac(3).String()); err != nil || v.AppliedDigest != req.Configs[mac(3).String()] ||
		v.WantedDigest != other.Configs[mac(3).String()] {
		t.Errorf("after a restart: %+v, %v", v, err)
	}
}

// What an apply put on a node is what a later install gives it.
func TestReprovisionGivesWhatIsApplied(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.runToEnd(w.send("one"))
	live := w.send("two")
	digest := live.Configs[mac(2).String()]
	if err := w.at().applied(t.Context(), mac(2), digest); err != nil {
		t.Fatal(err)
	}
	w.send("three")
	v, err := w.at().Reprovision(t.Context(), mac(2).String(), api.Reprovision{OnFailure: "cancel", Erase: api.EraseExact})
	if err != nil {
		t.Fatal(err)
	}
	if v.Request.Provision != "flatcar" || v.Request.Configs[mac(2).String()] != digest {
		t.Errorf("request: %+v", v.Request)
	}
	if end := w.wait(v.ID); end.Code != 0 {
		t.Fatalf("run: %+v", end)
	}
	if v, err := w.at().Config(t.Context(), mac(2).String()); err != nil || v.Applied.Butane[0].Butane != "two" {
		t.Errorf("config: %+v, %v", v, err)
	}
	if err := w.at().applied(t.Context(), mac(2), strings.Repeat("0", 64)); !errors.Is(err, errNoConfig) {
		t.Errorf("a digest that nobody sent: %v", err)
	}
}

func TestConfigRefused(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	for name, change := range map[string]func(*api.NodeConfig){
		"host name":       func(c *api.NodeConfig) { c.HostName = "a b" },
		"no host name":    func(c *api.NodeConfig) { c.HostName = "" },
		"wipe":            func(c *api.NodeConfig) { c.Wipe = "some" },
		"console":         func(c *api.NodeConfig) { c.Console = "ttyS0 init=/bin/sh" },
		"kernel argument": func(c *api.NodeConfig) { c.KernelArgs = []string{"quiet", `a"b`} },
		"no name":         func(c *api.NodeConfig) { c.Butane[0].Name = "" },
		"too large":       func(c *api.NodeConfig) { c.Butane[0].Butane = strings.Repeat("x", 1<<20) },
	} {
		c := config("node-1", "x")
		change(&c)
		if _, err := w.at().PutConfig(t.Context(), mac(2).String(), c); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, word := range []string{mac(1).String(), "node-9"} { // the management node has none
		if _, err := w.at().PutConfig(t.Context(), word, config("a", "x")); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// Nothing is touched by a run whose configs are not all there and good.
func TestRunWithoutGoodConfigsIsRefused(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	good := w.send("good")
	for want, change := range map[string]func(*api.RunRequest){
		"no config was named":     func(r *api.RunRequest) { delete(r.Configs, mac(3).String()) },
		"no such config was sent": func(r *api.RunRequest) { r.Configs[mac(3).String()] = r.Configs[mac(2).String()] },
		"configs":                 func(r *api.RunRequest) { r.Configs["node-2"] = "x" },
		"ssh_keys":                func(r *api.RunRequest) { r.SSHKeys = []string{"k"} },
		"nothing is installed":    func(r *api.RunRequest) { r.Provision, r.Image = "inventory", "" },
		"line 1: bad": func(r *api.RunRequest) {
			v, err := w.at().PutConfig(t.Context(), mac(3).String(), config("node-2", "bad"))
			if err != nil {
				t.Fatal(err)
			}
			r.Configs[mac(3).String()] = v.WantedDigest
		},
	} {
		req := good
		req.Configs = map[string]string{}
		for k, v := range good.Configs {
			req.Configs[k] = v
		}
		change(&req)
		if _, err := w.at().Submit(t.Context(), req); !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if runs := w.at().Runs(); len(runs) != 0 {
		t.Errorf("runs: %+v", runs)
	}
}

// A config may give its node another image than the run's, and keeps it from being removed.
func TestConfigWithAnImageOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	req := w.send("x")
	c := config("node-1", "x")
	c.Image = "another"
	v, err := w.at().PutConfig(t.Context(), mac(2).String(), c)
	if err != nil {
		t.Fatal(err)
	}
	req.Configs[mac(2).String()] = v.WantedDigest
	if _, err := w.at().Submit(t.Context(), req); err == nil {
		t.Error("an image that is not there was taken")
	}
	other := w.addImage("another")
	if end := w.runToEnd(req); end.Code != 0 {
		t.Fatalf("run: %+v", end)
	}
	if got := w.at().record(mac(2)).Install.Image; got != other.ID {
		t.Errorf("node-1 has image %s, want %s", got, other.ID)
	}
	if got := w.at().record(mac(3)).Install.Image; got != w.image.ID {
		t.Errorf("node-2 has image %s, want %s", got, w.image.ID)
	}
}

// Old configs go, but never what is on a node.
func TestOldConfigsAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	first := w.send("first")
	w.runToEnd(first)
	for i := range 3 * keptConfigs {
		w.send(fmt.Sprint(i))
	}
	kvs, err := w.store.List(t.Context(), configKey(mac(2), ""))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, kv := range kvs {
		keys = append(keys, kv.Key)
	}
	// The wanted one, the applied one, and some of the others.
	if len(keys) != keptConfigs+2 || !slices.Contains(keys, configKey(mac(2), first.Configs[mac(2).String()])) {
		t.Errorf("%d keys: %q", len(keys), keys)
	}
}

func TestReplaceTakesConfigsAlong(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.runToEnd(w.send("x"))
	now := rack.MAC{0x52, 0x54, 0, 0, 0, 0x22}
	if _, err := w.at().Replace(t.Context(), mac(2).String(), api.Replace{Primary: now.String()}); err != nil {
		t.Fatal(err)
	}
	w.csv = strings.Replace(w.csv, mac(2).String(), now.String(), 1)
	if _, err := w.at().Reread(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := w.at().Config(t.Context(), now.String())
	if err != nil || v.Wanted == nil || v.AppliedDigest != "" {
		t.Errorf("config: %+v, %v", v, err)
	}
	if kvs, err := w.store.List(t.Context(), configKey(mac(2), "")); err != nil || len(kvs) > 0 {
		t.Errorf("left behind: %v, %v", kvs, err)
	}
}
