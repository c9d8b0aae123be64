package provision

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/ignite"
)

// nodeRoot is the root file system of a node: this machine's own, below a layer that takes all writes, in mount namespaces of
// its own. systemctl and a few others are stand-ins that note their words and remember what is enabled; all else is real.
type nodeRoot struct {
	t   *testing.T
	dir string
}

const standIns = `set -e
mkdir -p /etc/ssh /run/racker
mkdir -p /usr/local/sbin
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/sh
echo "systemctl $*" >>/calls
quiet=''
if [ "$1" = -q ]; then quiet=1; shift; fi
verb=$1; shift
if [ "$1" = --now ]; then shift; fi
d=/units; mkdir -p $d
case $verb in
    cat) [ -e "/etc/systemd/system/$1" ] || [ -e "$d/$1.known" ] ;;
    enable | reenable) touch "$d/$1.enabled" ;;
    disable) rm -f "$d/$1.enabled" "$d/$1.active" ;;
    mask) touch "$d/$1.masked"; rm -f "$d/$1.active" ;;
    unmask) rm -f "$d/$1.masked" ;;
    start | restart) touch "$d/$1.active" ;;
    stop) rm -f "$d/$1.active" ;;
    preset) rm -f "$d/$1.enabled" ;;
    is-enabled)
        if [ -e "$d/$1.masked" ]; then [ -n "$quiet" ] || echo masked; exit 1; fi
        if [ -e "$d/$1.enabled" ]; then [ -n "$quiet" ] || echo enabled; else exit 1; fi ;;
    is-active)
        if [ -e "$d/$1.active" ]; then [ -n "$quiet" ] || echo active; else [ -n "$quiet" ] || echo inactive; exit 3; fi ;;
esac
END
cat >/usr/local/sbin/sshd <<'END'
#!/bin/sh
if grep -rqs Nonsense /etc/ssh/sshd_config.d; then exit 1; fi
if [ "$1" = -T ]; then cat /etc/ssh/sshd_config.d/*; fi
END
printf '#!/bin/sh\necho "networkctl $*" >>/calls\n' >/usr/local/sbin/networkctl
printf '#!/bin/sh\necho "update-ssh-keys $*" >>/calls\n' >/usr/local/sbin/update-ssh-keys
chmod 755 /usr/local/sbin/*
getent passwd core >/dev/null || useradd --create-home core
`

// inNode runs a shell in the node: $1 its directory. The layer is an overlay over /, and vanishes only with the test.
const inNode = `set -e
if [ ! -d "$1/root" ]; then mkdir -p "$1/up" "$1/work" "$1/root"; fi
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount --bind /proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
cd "$1/root"
exec chroot . env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin sh -s
`

func newNodeRoot(t *testing.T) *nodeRoot {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	dir, err := os.MkdirTemp("/dev/shm", "racker-node-") // an overlay wants its layer on another file system than an overlay's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	n := &nodeRoot{t: t, dir: dir}
	if out, err := n.run([]byte(standIns)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return n
}

func (n *nodeRoot) run(script []byte) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "sh", "-c", inNode, "sh", n.dir)
	cmd.Stdin = bytes.NewReader(script)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// do runs a script that must succeed.
func (n *nodeRoot) do(script []byte) string {
	n.t.Helper()
	out, err := n.run(script)
	if err != nil {
		n.t.Fatalf("%v: %s\n%s", err, out, script)
	}
	return out
}

// has runs a test of the shell.
func (n *nodeRoot) has(test string) {
	n.t.Helper()
	if out, err := n.run([]byte(test + "\n")); err != nil {
		n.t.Errorf("%s: %v: %s", test, err, out)
	}
}

// apply takes the node from one Butane to another as changeNode does, twice, and reads it back.
func (n *nodeRoot) apply(from, to string) {
	n.t.Helper()
	before, after := declaring(from), declaring(to)
	c, err := ignite.Compare(&before, &after)
	if err != nil {
		n.t.Fatal(err)
	}
	for range 2 {
		n.do(applyScript(c.Actions))
		n.do(checkScript(c.Actions))
	}
}

const fullConfig = `passwd:
  groups: [{name: rackertest, gid: 4711}]
  users:
    - name: core
      ssh_authorized_keys: ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB it's $two \\ \"x\""]
    - {name: ann, uid: 4712, groups: [rackertest], shell: /bin/sh, password_hash: "$6$salt$hash", ssh_authorized_keys: [ssh-ed25519 CCCC three]}
storage:
  directories: [{path: /srv/a, mode: 0750, user: {name: core}}, {path: /srv/a/b}]
  links: [{path: /opt/link, target: /srv/a}, {path: /opt/it's, target: "$HOME"}]
  files:
    - {path: /etc/hosts, mode: 0640, contents: {inline: "10.0.0.1 a\nEND\n$(id) 'q' \"\n"}}
    - {path: "/opt/od d/$f", mode: 0755, user: {name: core}, group: {id: 0}, contents: {inline: ""}}
    - {path: /etc/sysctl.d/90-x.conf, contents: {inline: "vm.swappiness = 1\n"}}
    - {path: /etc/systemd/network/20-x.network, contents: {inline: "[Match]\nName=x\n[Network]\nDNS=1.1.1.1\n"}}
systemd:
  units:
    - {name: one.service, enabled: true, contents: "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}
    - {name: two.service, mask: true}
    - {name: three.service, dropins: [{name: 10.conf, contents: "[Service]\nNice=1\n"}]}
`

// TestApplyScripts runs the real scripts of a config's whole life: all of it new, some of it changed, all of it gone.
func TestApplyScripts(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	n.do([]byte("mkdir -p /home/core/.ssh/authorized_keys.d && echo 'ssh-ed25519 RACK racker' >/home/core/.ssh/authorized_keys.d/ignition\n" +
		"mkdir -p /usr/share/flatcar/etc && echo 'of the image' >/usr/share/flatcar/etc/hosts\n" +
		"mkdir -p /etc/systemd/system-preset && printf 'enable one.service\\nenable one.serviceX\\n' >/etc/systemd/system-preset/20-ignition.preset\n" +
		"mkdir -p /units && touch /units/three.service.active\n"))
	n.apply("", fullConfig)
	for _, test := range []string{
		`[ "$(stat -c '%a %U:%G' /etc/hosts)" = "640 root:root" ]`,
		`[ "$(sed -n 3p /etc/hosts)" = '$(id) '"'q'"' "' ]`,
		`[ "$(stat -c '%a %U:%G %s' '/opt/od d/$f')" = "755 core:root 0" ]`,
		`[ "$(stat -c '%a %U' /srv/a)" = "750 core" ] && [ -d /srv/a/b ]`,
		`[ "$(readlink /opt/link)" = /srv/a ] && [ "$(readlink "/opt/it's")" = '$HOME' ]`,
		`[ "$(wc -l </home/core/.ssh/authorized_keys.d/ignition)" = 3 ] && grep -qxF 'ssh-ed25519 RACK racker' /home/core/.ssh/authorized_keys.d/ignition`,
		`[ "$(stat -c '%a %U' /home/core/.ssh/authorized_keys.d/ignition)" = "600 core" ]`,
		`id ann | grep -q '(rackertest)' && grep -q '^ann:\$6\$salt\$hash:' /etc/shadow && [ "$(id -u ann)" = 4712 ]`,
		`grep -qxF 'ssh-ed25519 CCCC three' /home/ann/.ssh/authorized_keys.d/ignition && [ "$(stat -c %U /home/ann/.ssh)" = ann ]`,
		`[ -e /units/one.service.enabled ] && [ -e /units/one.service.active ] && [ -e /units/two.service.masked ]`,
		`grep -qx 'systemctl restart three.service' /calls && grep -qx 'systemctl restart systemd-sysctl.service' /calls`,
		`grep -qx 'update-ssh-keys -u core' /calls`,
		`! grep -q "salt" /calls`,
		`[ -z "$(find / -xdev -path /tmp -prune -o -name '.racker.*' -print 2>/dev/null)" ]`,
	} {
		n.has(test)
	}
	n.do([]byte(": >/calls\n"))
	changed := strings.NewReplacer("DNS=1.1.1.1", "DNS=9.9.9.9", "ExecStart=/bin/true", "ExecStart=/bin/false", ", \"ssh-ed25519 BBBB it's $two \\\\ \\\"x\\\"\"", "",
		"groups: [rackertest]", "groups: []", "enabled: true", "enabled: false").Replace(fullConfig)
	n.apply(fullConfig, changed)
	for _, test := range []string{
		`[ "$(wc -l </home/core/.ssh/authorized_keys.d/ignition)" = 2 ] && ! grep -q BBBB /home/core/.ssh/authorized_keys.d/ignition`,
		`grep -qx 'networkctl reload' /calls && grep -q 9.9.9.9 /etc/systemd/network/20-x.network`,
		`[ ! -e /units/one.service.enabled ] && [ ! -e /units/one.service.active ] && grep -q /bin/false /etc/systemd/system/one.service`,
		`! id ann | grep -q '(rackertest)'`,
	} {
		n.has(test)
	}
	// Users and groups only go with the whole root; all else goes live.
	left := fullConfig[:strings.Index(fullConfig, "storage:")]
	n.do([]byte("echo data >/srv/a/b/data\n"))
	n.apply(changed, left)
	for _, test := range []string{
		`[ "$(cat /etc/hosts)" = 'of the image' ]`,
		`[ ! -e '/opt/od d/$f' ] && [ ! -L /opt/link ] && [ ! -e /etc/systemd/system/one.service ] && [ ! -e /etc/systemd/system/three.service.d/10.conf ]`,
		`[ -e /srv/a/b/data ]`,
		`[ "$(cat /etc/systemd/system-preset/20-ignition.preset)" = 'enable one.serviceX' ] && [ ! -e /units/two.service.masked ]`,
	} {
		n.has(test)
	}
}

// A directory that is there keeps what the config leaves open, as Ignition leaves it.
func TestApplyKeepsDirectories(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	for _, tt := range []struct{ declared, want string }{
		{"", "1777 core:sys"},
		{", mode: 0750", "750 core:sys"},
		{", user: {name: nobody}", "1777 nobody:sys"},
		{", group: {id: 0}", "1777 core:root"},
		{", mode: 0700, user: {id: 0}, group: {id: 0}", "700 root:root"},
	} {
		n.do([]byte("rm -rf /srv/there /srv/new; mkdir /srv/there; chown core:sys /srv/there; chmod 1777 /srv/there\n"))
		n.apply("", "storage: {directories: [{path: /srv/there"+tt.declared+"}, {path: /srv/new}]}\n")
		n.has(`[ "$(stat -c '%a %U:%G' /srv/there)" = "` + tt.want + `" ] || { stat /srv/there; false; }`)
		n.has(`[ "$(stat -c '%a %U:%G' /srv/new)" = "755 root:root" ]`)
	}
}

// What enabled a unit before its [Install] section changed goes: the real systemctl makes the links.
func TestApplyEnablesAnew(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	n.do([]byte("mv /usr/local/sbin/systemctl /usr/local/sbin/stand-in && cat >/usr/local/sbin/systemctl <<'END'\n#!/bin/sh\n" +
		"case \"$*\" in '-q enable '* | '-q reenable '* | '-q is-enabled '*) exec /usr/bin/systemctl --root=/ \"$@\" ;; *) exec stand-in \"$@\" ;; esac\nEND\n" +
		"chmod 755 /usr/local/sbin/systemctl\n"))
	const unit = "systemd: {units: [{name: racker-x.service, enabled: true, contents: \"[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=%.target\\n\"}]}\n"
	one, two := strings.Replace(unit, "%", "multi-user", 1), strings.Replace(unit, "%", "graphical", 1)
	n.apply("", one)
	n.has("[ -L /etc/systemd/system/multi-user.target.wants/racker-x.service ]")
	n.apply(one, two)
	n.has("[ -L /etc/systemd/system/graphical.target.wants/racker-x.service ] && [ ! -L /etc/systemd/system/multi-user.target.wants/racker-x.service ]")
}

// A script that is cut off on its way does nothing at all.
func TestApplyScriptCutOff(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	before, after := declaring(hosts("a")), declaring(hosts("b"))
	c, err := ignite.Compare(&before, &after)
	if err != nil {
		t.Fatal(err)
	}
	whole := applyScript(c.Actions)
	n.do([]byte("echo old >/etc/hosts\n"))
	for _, left := range []int{0, 1, 5, 20, 200} {
		cut := max(len(whole)-len("main\n")-left, 0)
		_, _ = n.run(whole[:cut]) // that it fails, or not, is not the point
		n.has(`[ "$(cat /etc/hosts)" = old ]`)
	}
}

// TestApplyScriptSays names the step that failed.
func TestApplyScriptSays(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	n.do([]byte("mkdir -p /opt/x/y\n"))
	before, after := declaring(""), declaring("storage: {files: [{path: /opt/x, contents: {inline: a}}]}\n")
	c, err := ignite.Compare(&before, &after)
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.run(applyScript(c.Actions))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(out, "write /opt/x: exit code 1") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestUpdateScript runs the real script with a stand-in for flatcar-update, which Flatcar alone has, and the real curl.
func TestUpdateScript(t *testing.T) {
	t.Parallel()
	n := newNodeRoot(t)
	payload := filepath.Join(n.dir, "payload")
	if err := os.WriteFile(payload, []byte("payload"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.do([]byte(`cat >/usr/local/sbin/flatcar-update <<'END'
#!/bin/sh
echo "flatcar-update $*" >>/calls
[ "$(cat "$4")" = payload ] && echo "$2" >/staged
rm -f /units/update-engine.service.masked
END
cat >/usr/local/sbin/update_engine_client <<'END'
#!/bin/sh
echo "update_engine_client $*" >>/calls
case $1 in
    -status) if [ -e /staged ]; then echo CURRENT_OP=UPDATE_STATUS_UPDATED_NEED_REBOOT; echo "NEW_VERSION=$(cat /staged)"; else echo CURRENT_OP=UPDATE_STATUS_IDLE; fi ;;
    -reset_status) rm -f /staged ;;
esac
END
chmod 755 /usr/local/sbin/*
printf 'VERSION_ID=1.0.0\n' >/etc/os-release.new && rm -f /etc/os-release && mv /etc/os-release.new /etc/os-release
mkdir -p /units && touch /units/update-engine.service.masked
mkdir -p /srv && printf payload >/srv/p.gz
`))
	const sum = "239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5" // of "payload"
	script := func(version, sum string) []byte {
		b := &shell{}
		b.line(updateScript)
		b.begin()
		b.line("version=" + quoteSh(version) + " sha256=" + quoteSh(sum) + " url='file:///srv/p.gz'")
		b.line("update")
		return b.end()
	}
	if out, err := n.run(script("2.0.0", strings.Repeat("0", 64))); err == nil || !strings.Contains(out, "not the one in the cache") {
		t.Errorf("another payload: %v: %s", err, out)
	}
	n.has(`! grep -q '^flatcar-update' /calls`)
	n.do(script("2.0.0", sum))
	n.has(`[ "$(cat /staged)" = 2.0.0 ] && [ ! -e /var/tmp/racker/flatcar_production_update.gz ] && [ -e /units/update-engine.service.masked ]`)
	n.has(`grep -qx 'flatcar-update --to-version 2.0.0 --to-payload /var/tmp/racker/flatcar_production_update.gz' /calls`)
	n.do([]byte(": >/calls\n"))
	n.do(script("2.0.0", sum)) // it is there already
	n.has(`! grep -q '^flatcar-update' /calls`)
	n.do(script("3.0.0", sum)) // another one is given up
	n.has(`grep -qx 'update_engine_client -reset_status' /calls && [ "$(cat /staged)" = 3.0.0 ]`)
	if out := n.do(script("1.0.0", sum)); strings.TrimSpace(out) != "running" {
		t.Errorf("the version that runs: %q", out)
	}
	n.do([]byte("rm /usr/local/sbin/flatcar-update /staged\n"))
	if out, err := n.run(script("4.0.0", sum)); err == nil || !strings.Contains(out, "no flatcar-update") {
		t.Errorf("no flatcar-update: %v: %s", err, out)
	}
}
