package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/internal/vmtest"
	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/sim/fleet"
)

// TestFleetMoreRows declares a cluster of three servers, adds three rows to nodes.csv, and applies: three installs, and nothing
// at all for the servers that were there.
func TestFleetMoreRows(t *testing.T) {
	rootOnly(t)
	r := vmtest.StartFleet(t, "scale: 0.05\n", fleet.Options{Servers: 6})
	own := t.TempDir()
	s := &site{Running: r, t: t, root: repository(t), extra: []string{
		"RACKER_NAMES_HOSTS=" + filepath.Join(own, "hosts"), "RACKER_NAMES_KNOWN_HOSTS=" + filepath.Join(own, "known_hosts"),
	}}
	s.FakeMicrokernel(fakeKernel)
	csv := filepath.Join(s.Folder.OEM(), "nodes.csv")
	all, err := os.ReadFile(csv)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(all), "\n")
	few := strings.Join(lines[:5], "") // header, management node, three servers
	if err := os.WriteFile(csv, []byte(few), 0o600); err != nil {
		t.Fatal(err)
	}
	s.startServe()
	s.must(time.Minute, "image", "add", s.FakeImage(fakeImage, fakeUsed), "--name", "os")
	folder := filepath.Join(own, "cluster")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "cluster.yaml"), []byte("image: os\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(2*time.Minute, "bootstrap", "--provision", "flatcar", "--config", folder, "--onfailure", "cancel", "--yes")
	before := s.Status()
	if n := installs(before); n != 3 {
		t.Fatalf("%d installs of three servers", n)
	}
	if err := os.WriteFile(csv, all, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.racker(time.Minute, "apply", "--config", folder, "--dry-run", "--detailed-exitcode"); code != 10 || !strings.Contains(out, "3 install") {
		t.Errorf("the plan of three more rows: exit code %d\n%s", code, out)
	}
	s.must(2*time.Minute, "apply", "--config", folder, "--yes")
	after := s.Status()
	for _, n := range after.Nodes {
		was := before.Find(n.Name)
		switch {
		case n.Installs != 1 || n.State != sim.StateReady || n.Fleet.OffsAfterWrite != 0:
			t.Errorf("%s is %s after %d installs: %+v", n.Name, n.State, n.Installs, *n.Fleet)
		case was.Installs == 1 && (n.Boots != was.Boots || n.WrittenBytes != was.WrittenBytes):
			t.Errorf("%s was touched: %d boots and %d bytes, then %d and %d", n.Name, was.Boots, was.WrittenBytes, n.Boots, n.WrittenBytes)
		}
	}
	if code, out := s.racker(time.Minute, "apply", "--config", folder, "--dry-run", "--detailed-exitcode"); code != 0 {
		t.Errorf("there is something left to apply: exit code %d\n%s", code, out)
	}
}

// installs counts the writes of all servers.
func installs(st *sim.Status) int {
	sum := 0
	for _, n := range st.Nodes {
		sum += n.Installs
	}
	return sum
}
