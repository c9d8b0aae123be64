package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// slowDisk is no fault of racker-sim's, but a setting.
const slowDisk = "slow disk"

// stuck are servers that each stand still for a reason, and the words by which `racker node show` must name it.
func stuck() []struct {
	fault string
	words []string
} {
	return []struct {
		fault string
		words []string
	}{
		{"bmc-deaf-power", []string{"BMC", "power"}},
		{"no-power", []string{"powered but no DHCP"}},
		{"unplugged", []string{"powered but no DHCP", "cable"}},
		{"no-dhcp", []string{"link up but no DHCP"}},
		{"no-tftp", []string{"DHCP but no TFTP"}},
		{"tftp-stall", []string{"undionly.kpxe"}},
		{"no-kernel", []string{"kernel"}},
		{"no-checkin", []string{"agent"}},
		{"agent-silent", []string{"agent", "silent"}},
		{slowDisk, []string{"its write is slow", "of the others"}},
		{"write-error", []string{"input/output error"}},
		{"no-callback", []string{"callback"}},
		{"disk-first", []string{"boot order"}},
		{"always-network, boot-loop", []string{"wrong boot order", "again and again"}},
	}
}

// TestFleetStuck has a server for each way to stand still, all in one run, and reads why from the outside.
func TestFleetStuck(t *testing.T) {
	settings := "scale: 0.1\nfleet: {firmware: bios, speed: 80000}\nnodes:\n"
	for i, c := range stuck() {
		own := "faults: [" + c.fault + "]"
		if c.fault == slowDisk {
			own = "speed: 16000" // a fifth of the others': the fault write-slow would stand still
		}
		settings += fmt.Sprintf("  node-%d: {%s}\n", i+1, own)
	}
	s, _ := newFleet(t, len(stuck()), settings, "RACKER_DEADLINES_NETBOOT=60s", "RACKER_DEADLINES_DISKS=2s", "RACKER_DEADLINES_AGENT=60s",
		"RACKER_DEADLINES_STALLED=60s", "RACKER_DEADLINES_BOOT=60s")
	image := s.FakeImage(64<<20, 48<<20) // a dozen chunks: the write takes its time
	s.must(time.Minute, "image", "add", image, "--name", "os")
	_, err := api.NewClient(s.socket()).SubmitRun(t.Context(), api.RunRequest{
		Provision: "image", Image: "os", OnFailure: api.OnFailureAsk, Canary: api.CanaryOff, Erase: api.EraseExact,
	})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(3 * time.Minute)
	c := api.NewClient(s.socket()) // its view is what `racker node show` prints
	open := stuck()
	said := map[string]string{}
	for n := range open {
		said[open[n].fault] = "nothing"
	}
	for left := len(open); left > 0; {
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(time.Second) // between two looks at the whole rack
		left = 0
		for i, one := range open {
			if said[one.fault] == "" {
				continue
			}
			name := fmt.Sprintf("node-%d", i+1)
			v, err := c.Node(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if names(v, one.words) {
				t.Logf("%-15s %s", one.fault, v.Diagnosis)
				said[one.fault] = ""
				if out := s.must(30*time.Second, "node", "show", name); !strings.Contains(flat(out), flat(v.Diagnosis)[:30]) {
					t.Errorf("racker node show %s does not say so:\n%s", name, out)
				}
				continue
			}
			said[one.fault] = fmt.Sprintf("%s: %s (%s)", v.State, v.Diagnosis, v.Reason)
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

// flat takes the breaks out of a text that was wrapped.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }
