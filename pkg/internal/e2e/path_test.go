package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/vmtest"
	"github.com/racker-project/racker/pkg/sim"
)

// bootTime is how long a server may take from power-on to its login prompt, three at a time on two slow cores.
const bootTime = 8 * time.Minute

// TestVMPath is the whole way: three servers from powered off to ready; then each of them network-boots again and reaches
// its disk; then racker is gone and they still boot. One of them has BIOS, one UEFI, one a clock of 2010.
func TestVMPath(t *testing.T) {
	s := newSite(t, vmtest.Rack{Settings: "nodes: {node-3: {rtc: 2010-01-01T00:00:00Z}}"})
	s.microkernel("cloud")
	image := s.testOS()
	s.startServe()
	out := s.must(20*time.Minute, "bootstrap", "--provision", "image", "--image", image, "--onfailure", "cancel", "--yes")
	for _, stage := range []string{"Checking BMC connectivity (3/3)", "OS installation via PXE (3/3)", "OS bring-up (3/3)"} {
		if !strings.Contains(out, stage) {
			t.Errorf("the output has no %q:\n%s", stage, out)
		}
	}
	nodes := []string{"node-1", "node-2", "node-3"}
	for _, name := range nodes {
		v := s.show(name)
		if v.State != "ready" || v.Callback == nil || v.Callback.HostName != name || len(v.Callback.HostKeys) == 0 ||
			!strings.Contains(strings.Join(v.Callback.HostKeys, " "), "SHA256:") || len(v.Callback.Units) == 0 {
			t.Errorf("%s is %s with callback %+v\n%s", name, v.State, v.Callback, timeline(v))
		}
	}
	if v := s.show("node-3"); !strings.HasPrefix(v.Clock, "2010-01-01") {
		t.Errorf("node-3's clock was %q, want 2010-01-01", v.Clock)
	}
	s.networkBootAgain(nodes)
	s.liveWithoutRacker(nodes)
	for _, n := range s.Status().Nodes {
		if n.Installs != 1 {
			t.Errorf("%s: its disk was written %d times", n.Name, n.Installs)
		}
	}
}

// networkBootAgain makes the network the boot device of installed nodes and resets them: they must reach their disks by
// racker's answer.
func (s *site) networkBootAgain(nodes []string) {
	s.t.Helper()
	for _, name := range nodes {
		s.WaitConsole(bootTime, name, name+" login:", 1) // the callback may be earlier than the prompt
		v := s.show(name)
		s.bootDevice(v, "pxe", "options=persistent")
		s.Power(name, sim.OrderReset)
	}
	for _, name := range nodes {
		s.WaitConsole(bootTime, name, name+" login:", 2)
		if v := s.show(name); v.State != "ready" || !evidence(v, "network boot", "answered disk") {
			s.t.Errorf("%s is %s; its timeline:\n%s", name, v.State, timeline(v))
		}
	}
}

// bootDevice sets a server's boot device as an operator would.
func (s *site) bootDevice(v api.NodeView, device, options string) {
	s.t.Helper()
	s.MustRun(s.t.Context(), "ipmitool", "-I", "lanplus", "-C", "17", "-H", v.BMCAddress, "-U", "USER", "-P", "PASS",
		"chassis", "bootdev", device, options)
}

// liveWithoutRacker stops the daemon and power-cycles every node. Those with BIOS still try the network first; the one with
// UEFI gets back the boot device that racker left it with, since its firmware waits minutes for each kind of network boot.
func (s *site) liveWithoutRacker(nodes []string) {
	s.t.Helper()
	s.bootDevice(s.show("node-2"), "disk", "options=persistent")
	if took := s.stopServe(); took > 2*time.Second {
		s.t.Errorf("an idle daemon took %s to stop", took)
	}
	for _, name := range nodes {
		s.Power(name, sim.OrderOff)
	}
	s.Wait(time.Minute, "all servers off", func(st *sim.Status) bool {
		return !slices.ContainsFunc(st.Nodes, func(n sim.NodeStatus) bool { return n.Power != "off" })
	})
	for _, name := range nodes {
		s.Power(name, sim.OrderOn)
	}
	for _, name := range nodes {
		s.WaitConsole(bootTime, name, name+" login:", 3)
	}
}
