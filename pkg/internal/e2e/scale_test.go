package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/sim"
)

// perNode is what each server of the scale benchmark is like: some minutes in all, whatever the size of the fleet.
const perNode = "scale: 10\n"

// goalScale is how much of the time of a few servers that of a thousand should be.
const goalScale = 0.9

// usage is what a run cost.
type usage struct {
	wall   time.Duration
	cpu    time.Duration // of the daemon
	memory int64         // of the daemon at its peak, in bytes
}

// measured takes a fleet from off to ready and gives what that cost the management node.
func measured(t testing.TB, servers int) usage {
	s, image := newFleet(t, servers, perNode, "RACKER_LIMITS_POWER_INTERVAL=10ms")
	s.must(5*time.Minute, "image", "add", image, "--name", "os")
	began := time.Now()
	run := s.detached("--image", "os", "--no-canary")
	s.must(15*time.Minute, "run", "wait", run)
	u := usage{wall: time.Since(began)}
	s.counts(func(n sim.NodeStatus) string {
		if n.State != sim.StateReady || n.Installs != 1 || n.Fleet.OffsAfterWrite != 0 {
			return "not ready, or not installed once"
		}
		return ""
	})
	u.cpu, u.memory = s.cost()
	return u
}

// cost is what the daemon has used until now.
func (s *site) cost() (cpu time.Duration, peak int64) {
	s.t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(s.serve.Process.Pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		s.t.Fatal(err)
	}
	// Fields 14 and 15 of proc(5) stat, in ticks of 10 ms; the name before them may hold blanks.
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, field := range f[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if _, err := fmt.Sscanf(rest, "%d kB", &peak); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return cpu, peak << 10
}

// BenchmarkFleetScale takes 10 servers, and then 1,000 of the same speed, from off to ready.
func BenchmarkFleetScale(b *testing.B) {
	for b.Loop() {
		few := measured(b, 10)
		many := measured(b, 1000)
		for n, u := range map[int]usage{10: few, 1000: many} {
			fmt.Printf("# fleet of %d: %.1f s, daemon %.1f s CPU, %d MiB at its peak\n", n, u.wall.Seconds(), u.cpu.Seconds(), u.memory>>20)
		}
		fmt.Printf("bench: fleet-scale ratio %.2f goal %.1f\n", few.wall.Seconds()/many.wall.Seconds(), goalScale)
	}
}
