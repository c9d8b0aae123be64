package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/internal/vmtest"
	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/sim/fleet"
)

// Sizes of what fake servers boot and install, in bytes.
const (
	fakeKernel = 1 << 20
	fakeImage  = 16 << 20
	fakeUsed   = 8 << 20
)

// newFleet starts a fleet of fake servers and a daemon that has what it takes to install them; image is what to install.
func newFleet(t testing.TB, servers int, settings string, extra ...string) (s *site, image string) {
	t.Helper()
	rootOnly(t)
	r := vmtest.StartFleet(t, settings, fleet.Options{Servers: servers})
	s = &site{Running: r, t: t, root: repository(t), extra: extra}
	s.FakeMicrokernel(fakeKernel)
	s.startServe()
	return s, s.FakeImage(fakeImage, fakeUsed)
}

// counts is what all of a fleet's servers must have in common.
func (s *site) counts(check func(n sim.NodeStatus) string) {
	s.t.Helper()
	for _, n := range s.Status().Nodes {
		if why := check(n); why != "" {
			s.t.Errorf("%s: %s: %+v %+v", n.Name, why, n, *n.Fleet)
		}
	}
}

// TestFleet takes fake servers of every firmware from off to ready by racker itself, and then lets them boot over the network
// again and again.
func TestFleet(t *testing.T) {
	s, image := newFleet(t, 4, `
scale: 0.05
nodes:
  node-3: {firmware: uefi, http_boot: true}
  node-4: {firmware: bios, no_in_band_bmc: true}
`)
	s.must(time.Minute, "bootstrap", "--provision", "image", "--image", image, "--yes", "--onfailure", "cancel")
	s.counts(func(n sim.NodeStatus) string {
		f := n.Fleet
		switch {
		case n.State != sim.StateReady || n.Power != "on" || f.Callbacks != 1:
			return "not ready"
		case n.Installs != 1 || n.WrittenBytes < fakeUsed || f.Microkernels != 1:
			return "not written once"
		case n.Boots != 2 || f.Reboots != 1 || f.OffsAfterWrite != 0:
			return "not booted twice"
		}
		return ""
	})
	if v := s.show("node-3"); v.State != "ready" || v.Callback == nil || v.Callback.HostName != "node-3" || !evidence(v, "UEFI HTTP boot") {
		t.Errorf("racker says that node-3 is %s, %+v:\n%s", v.State, v.Callback, timeline(v))
	}
	s.noAlarms()
	s.wrongPassword(s.Node("node-1"))
	const again = 3
	for i := range again {
		for _, n := range s.Status().Nodes {
			s.Fault(n.Name, "always-network")
			s.Power(n.Name, sim.OrderReset)
		}
		s.Wait(time.Minute, "servers to be ready again", func(st *sim.Status) bool {
			for _, n := range st.Nodes {
				if n.State != sim.StateReady || n.Fleet.Netboots < 2+i {
					return false
				}
			}
			return true
		})
	}
	s.counts(func(n sim.NodeStatus) string {
		if n.Fleet.MicrokernelsInstalled != 0 || n.Installs != 1 || n.Boots != 2+again || n.Fleet.Callbacks != 1 {
			return "network boots of an installed server"
		}
		return ""
	})
}

// wrongPassword gives a BMC another password, and the rack's back.
func (s *site) wrongPassword(n sim.NodeStatus) {
	s.t.Helper()
	read := []string{"-I", "lanplus", "-C", "17", "-N", "1", "-R", "1", "-H", n.BMCAddress, "-U", "USER", "-P", "PASS", "chassis", "power", "status"}
	s.Fault(n.Name, "bmc-password")
	if code, out := s.Run(s.t.Context(), "ipmitool", read...); code == 0 {
		s.t.Errorf("a BMC with another password answers %s", out)
	}
	s.Fault(n.Name)
	if out := s.MustRun(s.t.Context(), "ipmitool", read...); !strings.Contains(out, "is on") {
		s.t.Errorf("the BMC says %s", out)
	}
}

// staged is a server with a fault, and how it must end.
type staged struct {
	fault string
	ends  func(n sim.NodeStatus) bool
}

// said tells whether a server's last words begin so.
func said(n sim.NodeStatus, words string) bool { return strings.HasPrefix(n.Fleet.Said, words) }

// TestFleetFaults has a server for each fault, all in one run.
func TestFleetFaults(t *testing.T) {
	groups := map[string][]staged{
		"before the agent": {
			{"no-power", func(n sim.NodeStatus) bool { return n.Power == "on" && n.State == sim.StateOff && n.Boots == 0 }},
			{"unplugged", func(n sim.NodeStatus) bool { return n.State == sim.StateNetboot && n.Fleet.Address == "" }},
			{"no-dhcp", func(n sim.NodeStatus) bool { return n.State == sim.StateFirmware && said(n, "link is up") }},
			{"no-tftp", func(n sim.NodeStatus) bool { return n.Fleet.Address != "" && said(n, "waiting for the boot program") }},
			{"tftp-stall", func(n sim.NodeStatus) bool { return n.Fleet.Netboots == 0 && said(n, "TFTP undionly.kpxe") }},
			{"no-kernel", func(n sim.NodeStatus) bool { return n.State == sim.StateNetboot && said(n, "waiting for the kernel") }},
			{"kernel-stall", func(n sim.NodeStatus) bool {
				return n.State == sim.StateNetboot && said(n, "loading /assets/microkernels")
			}},
			{"other-nic", func(n sim.NodeStatus) bool { return n.State == sim.StateNetboot && n.Fleet.Address == "" }},
			{"disk-first", func(n sim.NodeStatus) bool { return n.State == sim.StateFirmware && said(n, "no bootable device") }},
		},
		"from the agent on": {
			{"no-checkin", func(n sim.NodeStatus) bool { return n.State == sim.StateAgent && said(n, "kernel panic") }},
			{"agent-silent", func(n sim.NodeStatus) bool {
				return n.State == sim.StateAgent && n.Installs == 0 && n.Fleet.Microkernels == 1
			}},
			{"write-slow", func(n sim.NodeStatus) bool { return n.State == sim.StateWriting && n.Installs == 1 }},
			{"write-error", func(n sim.NodeStatus) bool { return n.Installs > 1 && n.Fleet.Callbacks == 0 }},
			{"write-reboot", func(n sim.NodeStatus) bool {
				return n.State == sim.StateReady && n.Installs == 2 && n.Fleet.RebootsWhileWriting == 1
			}},
			{"reply-lost", func(n sim.NodeStatus) bool { return n.State == sim.StateReady && n.Installs == 1 }},
			{"no-callback", func(n sim.NodeStatus) bool { return n.State == sim.StateBooted && n.Fleet.Callbacks == 0 }},
			{"always-network", func(n sim.NodeStatus) bool {
				return n.State == sim.StateReady && n.Fleet.Netboots == 2 && n.Fleet.MicrokernelsInstalled == 0
			}},
		},
	}
	for name, group := range groups {
		t.Run(name, func(t *testing.T) {
			settings := "scale: 0.05\nfleet: {firmware: bios, speed: 2M}\nnodes:\n"
			for i, g := range group {
				settings += fmt.Sprintf("  node-%d: {faults: [%s]}\n", i+1, g.fault)
			}
			s, image := newFleet(t, len(group), settings, "RACKER_DEADLINES_DISKS=2s")
			s.begin("bootstrap", "--provision", "image", "--image", image, "--yes", "--onfailure", "retry", "--retries", "50", "--no-canary")
			s.Wait(90*time.Second, "each fault", func(st *sim.Status) bool {
				for i, g := range group {
					if !g.ends(*st.Find(fmt.Sprintf("node-%d", i+1))) {
						return false
					}
				}
				return true
			})
			s.noAlarms()
			if name == "from the agent on" {
				if v := s.show("node-4"); !evidence(v, "input/output error") {
					t.Errorf("racker did not hear of the broken disk: %s\n%s", v.Reason, timeline(v))
				}
			}
		})
	}
}

// begin starts a command of racker's that goes on until the end of the test.
func (s *site) begin(args ...string) {
	s.t.Helper()
	cmd := s.command(context.Background(), args...)
	s.Start(cmd)
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
}
