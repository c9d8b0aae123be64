package e2e

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/vmtest"
	"github.com/racker-project/racker/pkg/sim"
)

// TestVMNetboots lets installed servers boot over the network 10,000 times: none of them may get the microkernel. It has no
// virtual machine, and takes as long as one.
func TestVMNetboots(t *testing.T) {
	vmtest.Long(t)
	const servers, rounds = 100, 100
	s, image := newFleet(t, servers, "scale: 0.02\n", "RACKER_LIMITS_POWER_INTERVAL=5ms")
	s.must(5*time.Minute, "bootstrap", "--provision", "image", "--image", image, "--onfailure", "cancel", "--yes")
	first := map[string]int{}
	for _, n := range s.Status().Nodes {
		s.Fault(n.Name, "always-network")
		first[n.Name] = n.Fleet.Netboots
	}
	for round := 1; round <= rounds; round++ {
		for _, n := range s.Status().Nodes {
			s.Power(n.Name, sim.OrderReset)
		}
		s.Wait(2*time.Minute, "every server to boot over the network once more", func(st *sim.Status) bool {
			for _, n := range st.Nodes {
				if n.State != sim.StateReady || n.Fleet.Netboots < first[n.Name]+round {
					return false
				}
			}
			return true
		})
	}
	boots, wrong := 0, 0
	for _, n := range s.Status().Nodes {
		boots += n.Fleet.Netboots - first[n.Name]
		wrong += n.Fleet.MicrokernelsInstalled
		if n.Installs != 1 {
			t.Errorf("%s was written %d times", n.Name, n.Installs)
		}
	}
	t.Logf("%d network boots of installed servers, %d of the microkernel", boots, wrong)
	if boots < servers*rounds || wrong > 0 {
		t.Errorf("%d network boots, %d of the microkernel", boots, wrong)
	}
}

// TestFleetChangedNIC has a known machine ask with another MAC, and the operator take it in.
func TestFleetChangedNIC(t *testing.T) {
	s, image := newFleet(t, 2, "scale: 0.05\n")
	s.must(time.Minute, "bootstrap", "--provision", "image", "--image", image, "--onfailure", "cancel", "--yes")
	before := s.show("node-1")
	s.Fault("node-1", "other-nic", "always-network")
	s.Power("node-1", sim.OrderReset)
	deadline := time.Now().Add(time.Minute)
	for !evidence(s.show("node-1"), "racker node replace node-1 --primary") {
		if time.Now().After(deadline) {
			t.Fatalf("nobody says that the NIC is another:\n%s", timeline(s.show("node-1")))
		}
	}
	v := s.show("node-1")
	var mac string
	for _, e := range v.Evidence {
		if _, after, ok := strings.Cut(e.Text, "--primary "); ok {
			mac = strings.Fields(after)[0]
		}
	}
	s.must(time.Minute, "node", "replace", "node-1", "--primary", mac)
	after := s.show("node-1")
	if after.PrimaryMAC != mac || after.Address != before.Address || after.State != "ready" {
		t.Errorf("after the replacement: %s at %s, %s; before %s", after.PrimaryMAC, after.Address, after.State, before.Address)
	}
}

// TestFleetStopUnderLoad ends the daemon with SIGTERM while servers write and clients follow; the next one finishes the run.
func TestFleetStopUnderLoad(t *testing.T) {
	s, image := newFleet(t, 20, "scale: 0.1\nfleet: {speed: 500000}\n")
	s.must(time.Minute, "image", "add", image, "--name", "os")
	run := s.detached("--image", "os", "--no-canary")
	c := api.NewClient(s.socket())
	var followers sync.WaitGroup
	for range 20 {
		followers.Go(func() {
			for _, err := range c.Events(t.Context(), true, 0, "") {
				if err != nil {
					return // the daemon has gone
				}
			}
		})
	}
	s.untilState(time.Minute, c, "installing")
	began := time.Now()
	if err := s.serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.serve.Wait(); err != nil {
		t.Errorf("racker serve: %v\n%s", err, s.tail(s.log))
	}
	s.serve = nil
	followers.Wait()
	if took := time.Since(began); took > 32*time.Second {
		t.Errorf("it took %s to stop under load", took)
	}
	s.startServe()
	s.wholeAtTheEnd(2*time.Minute, run)
}
