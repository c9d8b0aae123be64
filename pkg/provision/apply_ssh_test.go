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

// TestApplyKeepsTheLogin asks the real SSH server: a configuration that it takes, and that keeps racker out, is taken back.
func TestApplyKeepsTheLogin(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	n.do([]byte("rm /usr/local/sbin/sshd; mkdir -p /run/sshd; ssh-keygen -q -A; usermod -a -G sys core\n" +
		"echo 'Include /etc/ssh/sshd_config.d/*.conf' >/etc/ssh/sshd_config; rm -rf /etc/ssh/sshd_config.d\n"))
	const file = "storage: {files: [{path: /etc/ssh/sshd_config.d/x.conf, contents: {inline: \"%\"}}]}\n"
	for _, tt := range []struct{ content, want string }{
		{"X11Forwarding no", ""},
		{"AllowUsers admin core", ""},
		{"AllowUsers c?re@10.9.8.*", ""},
		{"AllowUsers core@10.0.0.0/8", ""},
		{"AllowGroups wheel sys", ""},
		{"DenyUsers admin core@192.0.2.1", ""},
		{"AuthenticationMethods publickey password,publickey", ""},
		{`Match User admin\n  PubkeyAuthentication no`, ""},
		{"AllowUsers admin", "AllowUsers does not name core"},
		{"AllowUsers core@192.0.2.*", "AllowUsers does not name core"},
		{"AllowGroups wheel", "AllowGroups names no group"},
		{"DenyUsers co*", "DenyUsers names core"},
		{"DenyGroups sys", "DenyGroups names a group"},
		{"PubkeyAuthentication no", "PubkeyAuthentication is off"},
		{`Match Address 10.9.8.0/24\n  PubkeyAuthentication no`, "PubkeyAuthentication is off"},
		{"AuthenticationMethods publickey,password", "AuthenticationMethods wants more"},
		{"AuthorizedKeysFile /etc/keys/%u", "AuthorizedKeysFile is another"},
		{"Nonsense", "does not take"},
	} {
		before, after := declaring(""), declaring(strings.Replace(file, "%", tt.content, 1))
		c, err := ignite.Compare(&before, &after)
		if err != nil {
			t.Fatal(err)
		}
		n.do([]byte(": >/calls; rm -rf /etc/ssh/sshd_config.d\n"))
		// As by sudo: only a process above knows where the login came from.
		script := "SSH_CONNECTION='10.9.8.7 1 10.9.8.6 22' sh -c 'env -u SSH_CONNECTION sh -s; exit $?' <<'SCRIPT'\n" + string(applyScript(c.Actions)) + "SCRIPT\n"
		out, err := n.run([]byte(script))
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v: %s", tt.content, err, out)
			}
			n.has("grep -q 'systemctl is-active sshd.service' /calls && [ -e /etc/ssh/sshd_config.d/x.conf ]")
			continue
		}
		if err == nil || !strings.Contains(out, tt.want) || !strings.Contains(out, "the old one is back") {
			t.Errorf("%s: %v: %s, want %q", tt.content, err, out, tt.want)
		}
		n.has("! grep -q sshd.service /calls && [ ! -e /etc/ssh/sshd_config.d/x.conf ] && [ ! -e /run/racker/ssh ]")
	}
}
