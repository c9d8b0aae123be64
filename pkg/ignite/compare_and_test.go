package ignite

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompareAnd joins the ways from two configs to a third: whatever reads files does so when all of them are there.
func TestCompareAnd(t *testing.T) {
	t.Parallel()
	drop := func(text string) string {
		return "      dropins: [{name: a.conf, contents: \"[Service]\\n" + text + "\\n\"}]\n"
	}
	const sysctl, ssh = "/etc/sysctl.d/10.conf", "/etc/ssh/sshd_config.d/x.conf"
	both := func(a, b string) string {
		return oneFile("/etc/ssh/sshd_config.d/a.conf", a) + "    - {path: " + ssh + ", overwrite: true, contents: {inline: " + b + "}}\n"
	}
	for _, tt := range []struct {
		name, one, two, to string
		want               []string
	}{
		{"the same", oneFile("/etc/hosts", "a"), oneFile("/etc/hosts", "a"), oneFile("/etc/hosts", "b"), []string{"write /etc/hosts"}},
		{"units", oneUnit("a.service", drop("Nice=1")) + "    - name: b.service\n" + drop("Nice=2"), oneUnit("a.service", drop("Nice=2")) + "    - name: b.service\n" + drop("Nice=1"),
			oneUnit("a.service", drop("Nice=2")) + "    - name: b.service\n" + drop("Nice=2"),
			[]string{"write /etc/systemd/system/a.service.d/a.conf", "write /etc/systemd/system/b.service.d/a.conf", "daemon-reload", "restart a.service", "restart b.service"}},
		{"a unit that starts, and one that changes", "", oneUnit("a.service", "      enabled: true\n") + "    - name: b.service\n" + drop("Nice=1"),
			oneUnit("a.service", "      enabled: true\n") + "    - name: b.service\n" + drop("Nice=2"),
			[]string{"write /etc/systemd/system/b.service.d/a.conf", "daemon-reload", "restart b.service", "enable a.service", "start a.service"}},
		{"sysctls", oneFile(sysctl, "a=1\n") + "    - {path: /etc/sysctl.d/20.conf, contents: {inline: \"b=2\\n\"}}\n",
			oneFile(sysctl, "a=2\n") + "    - {path: /etc/sysctl.d/20.conf, contents: {inline: \"b=1\\n\"}}\n",
			oneFile(sysctl, "a=2\n") + "    - {path: /etc/sysctl.d/20.conf, contents: {inline: \"b=2\\n\"}}\n",
			[]string{"write " + sysctl, "write /etc/sysctl.d/20.conf", "sysctl"}},
		{"the SSH server", both("x", "old"), both("old", "x"), both("x", "x"),
			[]string{"write " + ssh, "write /etc/ssh/sshd_config.d/a.conf", "check-ssh", "restart ssh.service", "restart sshd.service"}},
		{"masks", oneUnit("a.service", "      enabled: true\n"), oneUnit("a.service", "      mask: true\n"), "",
			[]string{"daemon-reload", "unmask a.service", "forget a.service"}},
		{"the network last", oneFile("/etc/systemd/network/20.network", "[Network]\nDNS=1.1.1.1\n"),
			oneFile("/etc/systemd/network/20.network", "[Network]\nDNS=9.9.9.9\n") + oneUnit("a.service", drop("Nice=1")),
			oneFile("/etc/systemd/network/20.network", "[Network]\nDNS=9.9.9.9\n"),
			[]string{"remove /etc/systemd/system/a.service.d/a.conf", "write /etc/systemd/network/20.network", "daemon-reload", "restart a.service", "network"}},
		{"directories", "storage: {directories: [{path: /srv/a}]}\n", "storage: {directories: [{path: /srv/a}, {path: /srv/a/b}]}\n", "",
			[]string{"rmdir /srv/a/b", "rmdir /srv/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var joined Comparison
			for i, from := range []string{tt.one, tt.two} {
				got, err := Compare(declaredNode(from), declaredNode(tt.to))
				if err != nil {
					t.Fatal(err)
				}
				if joined = joined.And(got); i == 0 {
					joined = got
				}
			}
			if d := cmp.Diff(tt.want, steps(joined.Actions)); d != "" {
				t.Errorf("actions (-want +got):\n%s", d)
			}
		})
	}
}

// Each kind that a comparison makes has its place, and one comparison already is in that order.
func TestCompareOrder(t *testing.T) {
	t.Parallel()
	const all = "passwd: {groups: [{name: g}], users: [{name: ann, groups: [g], password_hash: x, ssh_authorized_keys: [ssh-a A]}]}\n" +
		"storage: {directories: [{path: /srv/a}], links: [{path: /opt/l, target: /x}], files: [{path: /etc/hosts, contents: {inline: a}}]}\n" +
		"systemd: {units: [{name: a.service, enabled: true}, {name: b.service, mask: true}]}\n"
	got, err := Compare(declaredNode(""), declaredNode(all))
	if err != nil {
		t.Fatal(err)
	}
	want := map[ActionKind]bool{AddGroup: true, AddUser: true, SetPassword: true, ChangeKeys: true, MakeDir: true, WriteFile: true, MakeLink: true,
		ReloadUnits: true, EnableUnit: true, StartUnit: true, MaskUnit: true}
	for _, a := range got.Actions {
		delete(want, a.Kind)
		if inOrder(a, Action{Kind: "unknown"}) <= 0 {
			t.Errorf("%s has no place", a.Kind)
		}
	}
	if len(want) > 0 {
		t.Errorf("kinds that were not made: %v", want)
	}
}
