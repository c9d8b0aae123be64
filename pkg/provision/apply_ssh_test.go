package provision

import (
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/ignite"
)

// A configuration that the SSH server does not take is taken back, since it would lock everybody out.
func TestApplyKeepsTheSSHServer(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	const file = "storage: {files: [{path: /etc/ssh/sshd_config.d/x.conf, contents: {inline: %}}]}\n"
	n.apply("", strings.Replace(file, "%", "Good", 1))
	before, after := declaring(strings.Replace(file, "%", "Good", 1)), declaring(strings.Replace(file, "%", "Nonsense", 1))
	c, err := ignite.Compare(&before, &after)
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.run(applyScript(c.Actions))
	if err == nil || !strings.Contains(out, "the old one is back") || !strings.Contains(out, "check-ssh: exit code 1") {
		t.Errorf("%v: %s", err, out)
	}
	n.has(`[ "$(cat /etc/ssh/sshd_config.d/x.conf)" = Good ]`)
	if out, err := n.run(checkScript(c.Actions)); err == nil || !strings.Contains(out, "/etc/ssh/sshd_config.d/x.conf has other content") {
		t.Errorf("reading back: %v: %s", err, out)
	}
}
