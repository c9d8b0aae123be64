package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/vmtest"
)

// oneRow is a rack with one server.
const oneRow = `Primary MAC address,BMC MAC address,Secondary MAC address,Node Type,Comments
52:54:01:00:00:00,,52:54:02:00:00:00,,management node
52:54:01:00:00:01,52:54:03:00:00:01,52:54:02:00:00:01,,
`

// TestVMSSH installs a server, logs in to it by name and with the host key that racker made, rotates racker's key under it, and
// finds the names and keys that the management node has.
func TestVMSSH(t *testing.T) {
	s := newSite(t, vmtest.Rack{Nodes: oneRow})
	s.microkernel("cloud")
	image := s.testOS()
	s.startServe()
	key := filepath.Join(t.TempDir(), "id_ed25519")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	s.must(15*time.Minute, "bootstrap", "--provision", "image", "--image", image, "--ssh-key", key+".pub", "--onfailure", "cancel", "--yes")

	hosts, err := api.NewClient(s.Folder.Socket()).Hosts(t.Context())
	if err != nil || len(hosts) != 1 || hosts[0].HostKey == "" {
		t.Fatalf("%+v, %v", hosts, err)
	}
	// ssh by itself, with the files that racker wrote on the management node, whose names this machine does not use.
	known := filepath.Join(string(s.Folder), "known_hosts")
	for file, want := range map[string]string{"hosts": hosts[0].Address + "\tnode-1\n", "known_hosts": "node-1," + hosts[0].Address + " " + hosts[0].HostKey + "\n"} {
		if b, err := os.ReadFile(filepath.Join(string(s.Folder), file)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s holds %q, %v", file, b, err)
		}
	}
	// The name is looked up in known_hosts, so the node's own key of that type is what ssh finds there, or it fails.
	out := s.MustRun(context.Background(), "ssh", "-i", key, "-o", "UserKnownHostsFile="+known, "-o", "StrictHostKeyChecking=yes",
		"-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=/dev/null", "core@"+hosts[0].Address, "hostname; cat /etc/ssh/ssh_host_ed25519_key.pub; sudo -n stat -c %a /etc/ssh/ssh_host_ed25519_key")
	if out != "node-1\n"+hosts[0].HostKey+"\n600\n" {
		t.Errorf("the node says %q", out)
	}
	if code, out := s.racker(time.Minute, "ssh", "-i", key, "node-1", "cat /proc/sys/kernel/hostname; exit 7"); code != 7 || out != "node-1\n" {
		t.Errorf("racker ssh: code %d, %q", code, out)
	}
	if v := s.show("node-1"); v.Callback == nil || !strings.Contains(strings.Join(v.Callback.HostKeys, " "), "ED25519") {
		t.Errorf("the callback tells of the host keys %+v", v.Callback)
	}

	up := s.must(time.Minute, "ssh", "-i", key, "node-1", "cat /proc/sys/kernel/random/boot_id")
	const keys = "cat .ssh/authorized_keys .ssh/authorized_keys.d/* 2>/dev/null | grep -c 'racker$'; cat .ssh/authorized_keys .ssh/authorized_keys.d/* 2>/dev/null | grep 'racker$'"
	before := s.must(time.Minute, "ssh", "-i", key, "node-1", keys)
	if out := s.must(time.Minute, "key", "rotate"); !strings.Contains(out, "on 1 node") {
		t.Errorf("key rotate says %q", out)
	}
	after := s.must(time.Minute, "ssh", "-i", key, "node-1", keys)
	if before == after || !strings.HasPrefix(before, "1\n") || !strings.HasPrefix(after, "1\n") {
		t.Errorf("racker's lines of core's keys: %q, then %q", before, after)
	}
	if now := s.must(time.Minute, "ssh", "-i", key, "node-1", "cat /proc/sys/kernel/random/boot_id"); now != up {
		t.Error("the node was booted again for it")
	}
}
