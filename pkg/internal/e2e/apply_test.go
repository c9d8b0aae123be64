package e2e

import (
	"os"
	"strings"
	"testing"
	"time"
)

// liveSnippet adds to what node-3 has: a unit that runs at once, and a file that the unit names.
const liveSnippet = snippet + `    - path: /etc/operator.env
      contents: {inline: "WORD=first\n"}
systemd:
  units:
    - name: operator.service
      enabled: true
      contents: |
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        EnvironmentFile=/etc/operator.env
        ExecStart=/bin/sh -c 'echo $WORD >/run/operator'
        [Install]
        WantedBy=multi-user.target
`

// hookText is a hook that notes how it was called.
const hookText = "#!/bin/sh\necho \"${0##*/} $1 $RACKER_COST\" >>hooks.log\n"

// TestVMApply changes one node that runs: live, by a reboot with other kernel arguments, and back.
func TestVMApply(t *testing.T) {
	d := newDeclared(t)
	d.microkernel("cloud")
	image := d.testOS()
	d.startServe()
	d.must(5*time.Minute, "image", "add", image, "--name", "os")
	d.must(15*time.Minute, "bootstrap", "--provision", "flatcar", "--config", d.folder, "--exclude", "node-1 node-2", "--onfailure", "cancel", "--yes")
	for _, hook := range []string{"drain", "undrain"} {
		d.write(hook, hookText)
		if err := os.Chmod(d.path(hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	first := d.boot("node-3")

	d.write("cl/node-3-custom.yaml", liveSnippet)
	d.applied("node-3", "live")
	d.has("node-3", "cat /run/operator; systemctl is-enabled operator.service", "first", "enabled")
	d.edit("cl/node-3-custom.yaml", "WORD=first", "WORD=second")
	d.applied("node-3", "live")
	d.has("node-3", "cat /run/operator", "second")
	if now := d.boot("node-3"); now != first {
		t.Errorf("a live change: boot and machine were %q, and are %q", first, now)
	}

	d.edit("cluster.yaml", "console: ttyS0,115200n8\n", "console: ttyS0,115200n8\nkernel_args: [racker.test=1]\nhealth: test -e /run/operator\n")
	d.applied("node-3", "reboot")
	d.has("node-3", "cat /proc/cmdline /run/operator", "racker.test=1", "console=ttyS0,115200n8", "second")
	now := d.boot("node-3")
	if now == first || strings.Fields(now)[1] != strings.Fields(first)[1] {
		t.Errorf("a reboot: boot and machine were %q, and are %q", first, now)
	}
	hooks, err := os.ReadFile(d.path("hooks.log"))
	if err != nil || string(hooks) != "drain node-3 reboot\nundrain node-3 reboot\n" {
		t.Errorf("hooks: %q, %v", hooks, err)
	}

	d.write("cl/node-3-custom.yaml", snippet)
	d.edit("cluster.yaml", "health: test -e /run/operator\n", "")
	d.applied("node-3", "live")
	if out := d.on("node-3", "ls /etc/operator.env /etc/systemd/system/operator.service 2>&1; systemctl is-active operator.service; true"); strings.Count(out, "No such file") != 2 {
		t.Errorf("what is no longer declared: %s", out)
	}
	for _, n := range d.Status().Nodes {
		if want := map[string]int{"node-3": 1}[n.Name]; n.Installs != want {
			t.Errorf("%s: its disk was written %d times", n.Name, n.Installs)
		}
	}
}

// applied applies what changed on a node, for the cost that it should have, and finds nothing left to do.
func (d *declared) applied(node, cost string) {
	d.t.Helper()
	if code, out := d.apply(node, "--dry-run", "--detailed-exitcode"); code != 10 || !strings.Contains(out, "Plan: 1 "+cost) {
		d.t.Fatalf("the plan: exit code %d\n%s", code, out)
	}
	if code, out := d.apply(node, "--yes"); code != 0 {
		d.t.Fatalf("apply: exit code %d\n%s\n%s", code, out, d.tail(d.log))
	}
	if code, out := d.apply(node); code != 0 || !strings.Contains(out, "Nothing to do") {
		d.t.Errorf("once more: exit code %d\n%s", code, out)
	}
}

// boot tells the boot of a node, and the machine that it is, apart from others.
func (d *declared) boot(node string) string {
	d.t.Helper()
	return strings.TrimSpace(d.on(node, "cat /proc/sys/kernel/random/boot_id /etc/machine-id"))
}
