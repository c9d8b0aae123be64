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

// killServe ends the daemon as a power cut does.
func (s *site) killServe() {
	s.t.Helper()
	if err := s.serve.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.serve.Wait() // it says that it was killed
	s.serve = nil
}

// detached submits a run that nobody follows, and gives its ID.
func (s *site) detached(args ...string) string {
	s.t.Helper()
	out := s.must(2*time.Minute, append([]string{"bootstrap", "--detach", "--yes", "--onfailure", "cancel", "--provision", "image"}, args...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1] // the answer on stdout comes after what was said on stderr
}

// untilState waits until a node is in one of the states, by the daemon's own events.
func (s *site) untilState(limit time.Duration, c *api.Client, states ...string) api.NodeView {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		nodes, err := c.Nodes(s.t.Context(), false)
		if err != nil {
			s.t.Fatal(err)
		}
		if i := slices.IndexFunc(nodes, func(n api.NodeView) bool { return slices.Contains(states, n.State) }); i >= 0 {
			return nodes[i]
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no node came to %v: %+v", states, nodes)
		}
		time.Sleep(time.Millisecond) // between two questions
	}
}

// wholeAtTheEnd waits for the run, and finds every server installed once. It counts runs that did not end well, and servers
// whose disk was written twice or whose power was cut after its write began.
func (s *site) wholeAtTheEnd(limit time.Duration, run string) (lost, doubled int) {
	s.t.Helper()
	if code, out := s.racker(limit, "run", "wait", run); code != 0 {
		lost++
		s.t.Errorf("racker run wait: exit code %d\n%s", code, out)
	}
	for _, n := range s.Status().Nodes {
		twice := n.Installs > 1 || n.Fleet != nil && n.Fleet.OffsAfterWrite > 0
		if twice {
			doubled++
		}
		if v := s.show(n.Name); n.Installs != 1 || v.State != "ready" || twice {
			s.t.Errorf("%s is %s after %d installs:\n%s", n.Name, v.State, n.Installs, timeline(v))
		}
	}
	return lost, doubled
}

// TestFleetKills kills the real daemon whenever the first server comes to a state, all in one run.
func TestFleetKills(t *testing.T) {
	s, image := newFleet(t, 6, "scale: 0.1\nfleet: {speed: 8M}\n")
	run := s.detached("--image", image)
	kills := 0
	for _, state := range []string{"checking-bmc", "powering", "netbooting", "agent", "installing", "installed", "booted"} {
		c := api.NewClient(s.socket())
		v := s.untilState(time.Minute, c, state, "ready")
		if v.State == "ready" {
			t.Logf("the fleet was faster than the question about %s", state)
			continue
		}
		s.killServe()
		kills++
		s.startServe()
	}
	lost, doubled := s.wholeAtTheEnd(2*time.Minute, run)
	t.Logf("kill table of the fleet: %d kills, %d lost runs, %d doubled actions", kills, lost, doubled)
	if kills < 4 {
		t.Errorf("only %d kills", kills)
	}
}

// socket is where the daemon answers.
func (s *site) socket() string {
	out := s.must(10*time.Second, "config", "show")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && strings.TrimSuffix(f[0], ":") == "socket" {
			return f[1]
		}
	}
	s.t.Fatalf("no socket in:\n%s", out)
	return ""
}

// TestVMKill kills the daemon with kill -9 while servers are powered on, while images are written, and between the end of
// the install and the first boot.
func TestVMKill(t *testing.T) {
	s := newSite(t, vmtest.Rack{})
	s.microkernel("cloud")
	image := s.testOS()
	s.startServe()
	s.must(5*time.Minute, "image", "add", image, "--name", "os")
	run := s.detached("--image", "os")
	s.untilState(time.Minute, api.NewClient(s.socket()), "powering", "netbooting")
	s.killServe()
	s.startServe()
	s.Wait(5*time.Minute, "a write in its middle", func(st *sim.Status) bool {
		return slices.ContainsFunc(st.Nodes, func(n sim.NodeStatus) bool { return n.WrittenBytes > 8<<20 })
	})
	s.killServe()
	s.startServe()
	s.untilState(10*time.Minute, api.NewClient(s.socket()), "installed")
	s.killServe()
	s.startServe()
	s.wholeAtTheEnd(15*time.Minute, run)
}
