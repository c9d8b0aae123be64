package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/vmtest"
)

const twoServers = `Primary MAC address, BMC MAC address, Secondary MAC address, Node Type, Location
52:54:00:00:00:01, 52:54:00:00:01:01, 52:54:00:00:02:01, mgmt,
52:54:00:00:00:11, 52:54:00:00:01:11, 52:54:00:00:02:11, compute, U11
52:54:00:00:00:12, 52:54:00:00:01:12, 52:54:00:00:02:12, compute, U12
`

// TestVMOtherBootWays boots one server by UEFI HTTP boot, and one whose NIC's own iPXE is sent on to racker's undionly.kpxe.
func TestVMOtherBootWays(t *testing.T) {
	s := newSite(t, vmtest.Rack{
		Nodes:    twoServers,
		Settings: "nodes: {node-1: {firmware: bios}, node-2: {firmware: uefi, http_boot: true}}",
	}, "RACKER_CHAIN_IPXE=always")
	s.microkernel("cloud")
	image := s.testOS()
	s.startServe()
	s.must(20*time.Minute, "bootstrap", "--provision", "image", "--image", image, "--onfailure", "cancel", "--yes")
	if v := s.show("node-1"); !evidence(v, "TFTP: undionly.kpxe, 74213 bytes") && !evidence(v, "TFTP: undionly.kpxe") {
		t.Errorf("node-1 did not load undionly.kpxe:\n%s", timeline(v))
	}
	if v := s.show("node-2"); !evidence(v, "UEFI HTTP boot", "OFFER") || !evidence(v, "HTTP: ipxe/ipxe.efi") {
		t.Errorf("node-2 did not boot by HTTP:\n%s", timeline(v))
	}
}

// TestVMSwappedBMCs has two rows with each other's BMC MAC: each server is powered by the other's row, and the agents see it
// in-band. Nothing may be written. The generic kernel has the IPMI drivers.
func TestVMSwappedBMCs(t *testing.T) {
	s := newSite(t, vmtest.Rack{Nodes: twoServers})
	swapped := strings.NewReplacer("52:54:00:00:01:11", "52:54:00:00:01:12", "52:54:00:00:01:12", "52:54:00:00:01:11").Replace(twoServers)
	if err := os.WriteFile(filepath.Join(s.Folder.OEM(), "nodes.csv"), []byte(swapped), 0o600); err != nil {
		t.Fatal(err)
	}
	s.microkernel("generic")
	image := s.testOS()
	s.startServe()
	code, out := s.racker(15*time.Minute, "bootstrap", "--provision", "image", "--image", image, "--onfailure", "cancel", "--yes")
	if code != 1 || !strings.Contains(out, "(U11)") && !strings.Contains(out, "(U12)") {
		t.Errorf("exit code %d, want 1 and the place of a server:\n%s", code, out)
	}
	named := false
	for _, name := range []string{"node-1", "node-2"} {
		reason := s.show(name).Reason
		named = named || strings.Contains(reason, "line 3") && strings.Contains(reason, "line 4")
	}
	if !named {
		t.Errorf("no reason names both rows:\n%s", out)
	}
	s.noWrites(false)
}

// TestVMBadImageAndDisk installs an image with a wrong chunk, which must leave a disk that nothing boots, and one that is
// larger than the disks.
func TestVMBadImageAndDisk(t *testing.T) {
	s := newSite(t, vmtest.Rack{
		Nodes:    twoServers,
		Settings: "nodes: {node-1: {disks: [{size: 300M}, {size: 200M}]}, node-2: {firmware: bios}}",
	})
	s.microkernel("cloud")
	image := s.testOS()
	s.startServe()
	var images []api.ImageView
	s.must(5*time.Minute, "image", "add", image, "--name", "os")
	s.json(&images, "image", "list")
	data := filepath.Join(s.Folder.State(), "images", images[0].ID, "data.zst")
	s.spoil(data)
	code, out := s.racker(15*time.Minute, "bootstrap", "--provision", "image", "--image", "os", "--exclude", "node-1", "--onfailure", "cancel", "--yes")
	if code != 1 || !strings.Contains(out, "node-2 (U12)") || !strings.Contains(out, "SHA-256") && !strings.Contains(out, "chunk") {
		t.Errorf("exit code %d, want 1 and the chunk's fault at node-2 (U12):\n%s", code, out)
	}
	head := make([]byte, 1<<20)
	disk, err := os.Open(filepath.Join(s.Folder.Node("node-2"), "disk0.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if _, err := disk.ReadAt(head, 0); err != nil || !bytes.Equal(head, make([]byte, 1<<20)) {
		t.Errorf("the first MiB of the disk is not zero (%v): something may boot it", err)
	}
	code, out = s.racker(15*time.Minute, "bootstrap", "--provision", "image", "--image", "os", "--exclude", "node-2", "--onfailure", "cancel", "--yes")
	if code != 1 || !strings.Contains(out, "node-1 (U11)") || !strings.Contains(out, "vda") || !strings.Contains(out, "vdb") {
		t.Errorf("exit code %d, want 1 and why no disk of node-1 (U11) fits:\n%s", code, out)
	}
	if n := s.Node("node-1").Installs; n != 0 {
		t.Errorf("a disk that is too small was written %d times", n)
	}
}

// spoil changes one byte in the middle of a file.
func (s *site) spoil(name string) {
	s.t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	one := make([]byte, 1)
	at := info.Size() / 2
	if _, err := f.ReadAt(one, at); err != nil {
		s.t.Fatal(err)
	}
	one[0] ^= 0xff
	if _, err := f.WriteAt(one, at); err != nil {
		s.t.Fatal(err)
	}
}
