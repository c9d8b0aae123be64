package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/internal/vmtest"
)

// clusterRack gives node-1 a second cable to the public network, whose switches carry jumbo frames.
const clusterRack = `mtu: 9000
nodes:
  node-1: {nics: ['52:54:00:00:03:11']}
`

// clusterYAML declares three nodes: one with a bond and a VLAN on it, one with the VLAN on a NIC, one with a snippet.
const clusterYAML = `image: os
ssh_keys:
  - file: operator.pub
console: ttyS0,115200n8
nodes:
  node-1:
    mac: 52:54:00:00:00:11
    network:
      bonds:
        bond0:
          mode: active-backup
          members: [secondary, '52:54:00:00:03:11']
          mtu: 9000
          addresses: [203.0.113.11/24]
          gateway: 203.0.113.1
      vlans:
        vlan42: {id: 42, on: bond0, mtu: 9000, addresses: [10.42.0.11/24, 'fd42::11/64']}
      dns: [203.0.113.53]
  node-2:
    mac: 52:54:00:00:00:12
    network:
      addresses: [203.0.113.12/24]
      gateway: 203.0.113.1
      mtu: 9000
      dns: [203.0.113.53]
      vlans:
        vlan42: {id: 42, on: secondary, mtu: 9000, addresses: [10.42.0.12/24, 'fd42::12/64']}
  node-3:
    mac: 52:54:00:00:00:13
    network:
      addresses: [203.0.113.13/24]
      gateway: 203.0.113.1
      dns: [203.0.113.53]
`

// snippet is what the operator adds to node-3.
const snippet = `variant: flatcar
version: 1.0.0
storage:
  files:
    - path: /etc/operator
      mode: 0640
      contents: {inline: "of node-3 only\n"}
`

// declared is a rack whose cluster is declared in a folder.
type declared struct {
	*site
	folder string
}

// newDeclared starts a rack, its daemon and an operator with an SSH key in an agent.
func newDeclared(t *testing.T) *declared {
	t.Helper()
	d := &declared{}
	own := t.TempDir()
	socket := filepath.Join(own, "agent")
	d.folder = filepath.Join(own, "cluster")
	d.site = newSite(t, vmtest.Rack{Settings: clusterRack}, "SSH_AUTH_SOCK="+socket,
		"RACKER_NAMES_HOSTS="+filepath.Join(own, "hosts"), "RACKER_NAMES_KNOWN_HOSTS="+filepath.Join(own, "known_hosts"))
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	d.Start(agent)
	t.Cleanup(func() {
		_ = agent.Process.Kill() // it may have ended
		_ = agent.Wait()
	})
	d.write("cluster.yaml", clusterYAML)
	d.write("cl/node-3-custom.yaml", snippet)
	d.key("operator")
	d.WaitPath(10*time.Second, socket)
	add := exec.CommandContext(t.Context(), "ssh-add", d.path("operator"))
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v\n%s", err, out)
	}
	if err := os.Remove(d.path("operator")); err != nil {
		t.Fatal(err) // no secret belongs into the folder
	}
	return d
}

func (d *declared) path(name string) string { return filepath.Join(d.folder, name) }

func (d *declared) write(name, text string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path(name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// key makes an SSH key in the folder.
func (d *declared) key(name string) {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", d.path(name)).CombinedOutput()
	if err != nil {
		d.t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

// on runs a command on a node by racker ssh.
func (d *declared) on(node string, words ...string) string {
	d.t.Helper()
	return d.must(time.Minute, append([]string{"ssh", node, "--"}, words...)...)
}

// has checks that a command on a node prints all of the texts.
func (d *declared) has(node, command string, texts ...string) {
	d.t.Helper()
	out := d.on(node, command)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			d.t.Errorf("%s: %s has no %q:\n%s", node, command, text, out)
		}
	}
}

// apply orders what the folder declares, and gives the exit code and the output.
func (d *declared) apply(words ...string) (int, string) {
	d.t.Helper()
	return d.racker(10*time.Minute, append([]string{"apply", "--config", d.folder}, words...)...)
}

// edit replaces a text in a file of the folder.
func (d *declared) edit(name, old, text string) {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	if err != nil || !strings.Contains(string(b), old) {
		d.t.Fatalf("%s has no %q: %v", name, old, err)
	}
	d.write(name, strings.Replace(string(b), old, text, 1))
}

// beginning is the digest of the first 256 MiB of a disk.
func (d *declared) beginning(node, disk string) string {
	d.t.Helper()
	f, err := os.Open(filepath.Join(d.Folder.Node(node), disk))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, 256<<20); err != nil {
		d.t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestVMCluster declares three nodes in a folder, and brings them from powered off to what it says; then it changes the folder,
// and the nodes by it: live, and with a new root.
func TestVMCluster(t *testing.T) {
	d := newDeclared(t)
	d.microkernel("cloud")
	image := d.testOS()
	d.startServe()
	d.must(5*time.Minute, "image", "add", image, "--name", "os")
	second := d.beginning("node-3", "disk1.raw")
	d.must(20*time.Minute, "bootstrap", "--provision", "flatcar", "--config", d.folder, "--onfailure", "cancel", "--yes")
	if now := d.beginning("node-3", "disk1.raw"); now != second {
		t.Error("the second disk of node-3 was written")
	}
	d.asDeclared()
	d.jumbo()
	if code, out := d.apply("--yes"); code != 0 {
		t.Errorf("apply without a change: exit code %d\n%s", code, out)
	}
	d.liveKey()
	d.newRoot()
	for _, n := range d.Status().Nodes {
		if n.Installs != 1 {
			t.Errorf("%s: its disk was written %d times", n.Name, n.Installs)
		}
	}
}

// asDeclared looks into the nodes.
func (d *declared) asDeclared() {
	d.t.Helper()
	d.has("node-1", "hostname; ip -d addr show bond0; cat /proc/net/bonding/bond0", "node-1", "mtu 9000", "203.0.113.11/24", "active-backup",
		"52:54:00:00:02:11", "52:54:00:00:03:11")
	d.has("node-1", "ip -d addr show vlan42", "mtu 9000", "vlan protocol 802.1Q id 42", "10.42.0.11/24", "fd42::11/64")
	d.has("node-2", "hostname; ip -d addr", "node-2", "203.0.113.12/24", "10.42.0.12/24", "fd42::12/64")
	d.has("node-3", "hostname; ip -d addr; ip route", "node-3", "203.0.113.13/24", "default via 203.0.113.1")
	d.has("node-3", "sudo stat -c %a /etc/operator; sudo cat /etc/operator", "640", "of node-3 only")
	for _, node := range []string{"node-1", "node-2", "node-3"} {
		d.has(node, "ip -4 addr; sudo nft list ruleset; systemctl is-active systemd-timesyncd; cat /etc/systemd/timesyncd.conf.d/10-racker.conf",
			"172.24.213.", "scope link", "racker_internal", "active", "NTP=172.24.213.1")
		d.has(node, "cat /proc/cmdline", "console=ttyS0,115200n8")
	}
}

// jumbo sends the largest frames between two nodes over their VLAN, by IPv4 and IPv6.
func (d *declared) jumbo() {
	d.t.Helper()
	d.has("node-1", "ping -c 3 -W 10 -M do -s 8972 10.42.0.12", "8980 bytes from 10.42.0.12")
	d.has("node-2", "ping -6 -c 3 -W 10 -M do -s 8952 fd42::11", "8960 bytes from fd42::11")
}

// liveKey adds an SSH key: it is on all nodes, and none of them was rebooted.
func (d *declared) liveKey() {
	d.t.Helper()
	d.key("second")
	public, err := os.ReadFile(d.path("second.pub"))
	if err != nil {
		d.t.Fatal(err)
	}
	before := d.boots()
	d.edit("cluster.yaml", "  - file: operator.pub\n", "  - file: operator.pub\n  - file: second.pub\n")
	if code, out := d.apply("--dry-run", "--detailed-exitcode"); code != 10 || strings.Count(out, "live") < 3 {
		d.t.Errorf("the plan of one more key: exit code %d\n%s", code, out)
	}
	if code, out := d.apply("--yes"); code != 0 {
		d.t.Fatalf("apply: exit code %d\n%s\n%s", code, out, d.tail(d.log))
	}
	for _, node := range []string{"node-1", "node-2", "node-3"} {
		d.has(node, "cat .ssh/authorized_keys .ssh/authorized_keys.d/* 2>/dev/null; true", strings.TrimSpace(string(public)))
	}
	if after := d.boots(); !slices.Equal(before, after) {
		d.t.Errorf("the nodes' boots were %v, and are %v", before, after)
	}
}

// boots tells the boots of the nodes apart, and their roots.
func (d *declared) boots() []string {
	d.t.Helper()
	var out []string
	for _, node := range []string{"node-1", "node-2", "node-3"} {
		out = append(out, strings.TrimSpace(d.on(node, "cat /proc/sys/kernel/random/boot_id /etc/machine-id")))
	}
	return out
}

// newRoot changes what only a new root can have: refused unless the node is named, and then done to that node alone.
func (d *declared) newRoot() {
	d.t.Helper()
	before := d.boots()
	d.edit("cl/node-3-custom.yaml", "storage:\n", `storage:
  filesystems:
    - {device: /dev/disk/by-label/ROOT, format: ext4, label: ROOT, wipe_filesystem: true}
`)
	if code, out := d.apply("--yes"); code != 4 || !strings.Contains(out, "--allow-wipe") {
		d.t.Errorf("a new root without leave: exit code %d\n%s", code, out)
	}
	if code, out := d.apply("--yes", "--allow-wipe", "node-3"); code != 0 {
		d.t.Fatalf("apply with leave: exit code %d\n%s\n%s", code, out, d.tail(d.log))
	}
	after := d.boots()
	if !slices.Equal(before[:2], after[:2]) || before[2] == after[2] {
		d.t.Errorf("the nodes' boots were %v, and are %v", before, after)
	}
	d.has("node-3", "sudo cat /etc/operator", "of node-3 only")
}
