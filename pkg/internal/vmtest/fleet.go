package vmtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/sim/fleet"
)

// StartFleet brings a fleet of fake servers up for the time of the test; no virtual machine runs. It needs root. settings is
// the text of sim.yaml, which may be empty; the options' log is set.
func StartFleet(t testing.TB, settings string, options fleet.Options) *Running {
	t.Helper()
	folder, log := newFolder(t, settings)
	options.Log = log
	return run(t, folder, func(ctx context.Context) (rack, error) { return fleet.New(ctx, folder, options) })
}

// Fault makes a server misbehave in the ways named, and in no other.
func (r *Running) Fault(node string, words ...string) {
	r.t.Helper()
	f, err := sim.ParseFaults(words)
	if err == nil {
		err = r.Client.SetFaults(context.Background(), node, f)
	}
	if err != nil {
		r.t.Fatalf("faults %v of %s: %v", words, node, err)
	}
}

// FakeMicrokernel gives racker a microkernel that only fake servers can boot: kernel and initramfs of size bytes each.
func (r *Running) FakeMicrokernel(size int) {
	r.t.Helper()
	type file struct {
		Name   string `json:"name"`
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}
	data := make([]byte, size)
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	id := digest[:12]
	manifest, err := json.Marshal(map[string]any{
		"id": id, "release": "0.0.0-fake", "arch": "amd64",
		"kernel": file{"vmlinuz", size, digest}, "initrd": file{"initrd.img", size, digest}, "agent": file{Name: "racker-agent"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	shelf := filepath.Join(r.Folder.State(), "microkernels")
	dir := filepath.Join(shelf, id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	for name, b := range map[string][]byte{"manifest.json": manifest, "vmlinuz": data, "initrd.img": data} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.Symlink(id, filepath.Join(shelf, "default")); err != nil {
		r.t.Fatal(err)
	}
}

// FakeImage writes a disk image that fake servers can install, and gives its name: size bytes, used of which are data.
func (r *Running) FakeImage(size, used int64) string {
	r.t.Helper()
	name := filepath.Join(string(r.Folder), "os.img")
	if err := fleet.WriteImage(name, size, used); err != nil {
		r.t.Fatal(err)
	}
	return name
}
