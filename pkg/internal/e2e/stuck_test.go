package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// stuck are servers that each stand still for a reason, and the words by which `racker node show` must name it.
func stuck() []struct {
	fault string
	words []string
} {
	return []struct {
		fault string
		words []string
	}{
		{"no-power", []string{"power"}},
		{"unplugged", []string{"no DHCP", "cable"}},
		{"no-dhcp", []string{"link is up", "VLAN"}},
		{"no-tftp", []string{"TFTP"}},
		{"tftp-stall", []string{"undionly.kpxe"}},
		{"no-kernel", []string{"kernel"}},
		{"no-checkin", []string{"agent"}},
		{"agent-silent", []string{"agent", "silent"}},
		{"write-slow", []string{"slow"}},
		{"write-error", []string{"input/output error"}},
		{"no-callback", []string{"callback"}},
		{"disk-first", []string{"boot order"}},
		{"always-network", []string{"network"}},
	}
}

// TestFleetStuck has a server for each way to stand still, all in one run, and reads why from the outside.
func TestFleetStuck(t *testing.T) {
	settings := "scale: 0.1\nfleet: {firmware: bios, speed: 40M}\nnodes:\n"
	for i, c := range stuck() {
		settings += fmt.Sprintf("  node-%d: {faults: [%s]}\n", i+1, c.fault)
	}
	s, image := newFleet(t, len(stuck()), settings, "RACKER_DEADLINES_NETBOOT=60s", "RACKER_DEADLINES_AGENT=60s",
		"RACKER_DEADLINES_STALLED=60s", "RACKER_DEADLINES_BOOT=60s")
	s.begin("bootstrap", "--provision", "image", "--image", image, "--yes", "--onfailure", "exclude", "--retries", "0", "--no-canary")
	deadline := time.Now().Add(3 * time.Minute)
	open := stuck()
	said := map[string]string{}
	for n := range open {
		said[open[n].fault] = "nothing"
	}
	for left := len(open); left > 0; {
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(200 * time.Millisecond) // between two looks at the whole rack
		left = 0
		for i, c := range open {
			if said[c.fault] == "" {
				continue
			}
			v := s.show(fmt.Sprintf("node-%d", i+1))
			if names(v, c.words) {
				t.Logf("%-15s %s", c.fault, v.Diagnosis)
				said[c.fault] = ""
				continue
			}
			said[c.fault] = v.State + ": " + v.Diagnosis
			left++
		}
	}
	for fault, text := range said {
		if text != "" {
			t.Errorf("%s: %s", fault, text)
		}
	}
}

// names reports whether a diagnosis has all of the words.
func names(v api.NodeView, words []string) bool {
	for _, w := range words {
		if !strings.Contains(v.Diagnosis, w) {
			return false
		}
	}
	return v.Diagnosis != ""
}
