package ignite

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

// declaredNode is a config of the Butane below the header.
func declaredNode(butane string) *api.NodeConfig {
	return &api.NodeConfig{HostName: "node-1", Butane: []api.ButaneSource{{Name: "cl/node-1.yaml", Butane: testHead + butane}}}
}

const testHead = "variant: flatcar\nversion: 1.0.0\n"

func oneFile(path, content string) string {
	return fmt.Sprintf("storage:\n  files:\n    - path: %s\n      overwrite: true\n      contents: {inline: %q}\n", path, content)
}

func oneUnit(name, rest string) string {
	return "systemd:\n  units:\n    - name: " + name + "\n" + rest
}

const (
	unitV1 = "      enabled: true\n      contents: |\n        [Service]\n        ExecStart=/opt/one\n        EnvironmentFile=/etc/one.env\n        [Install]\n        WantedBy=multi-user.target\n"
	unitV2 = "      enabled: true\n      contents: |\n        [Service]\n        ExecStart=/opt/two\n        [Install]\n        WantedBy=multi-user.target\n"
)

// steps prints actions shortly.
func steps(actions []Action) []string {
	out := []string{}
	for _, a := range actions {
		text := string(a.Kind)
		for _, more := range []string{a.Path, a.Target, strings.Join(a.Add, " "), strings.Join(a.Remove, " -")} {
			if more != "" {
				text += " " + more
			}
		}
		out = append(out, text)
	}
	return out
}

// TestCompare goes from one Butane to another: what it costs, why, and what is done.
func TestCompare(t *testing.T) {
	t.Parallel()
	const keys = "passwd:\n  users:\n    - name: core\n      ssh_authorized_keys: [%s]\n"
	tests := []struct {
		name, from, to string
		cost, why      string // of the dearest change
		want           []string
	}{
		{"nothing", oneFile("/etc/hosts", "a"), oneFile("/etc/hosts", "a"), api.CostNothing, "", nil},
		{"SSH key added", fmt.Sprintf(keys, "ssh-a A"), fmt.Sprintf(keys, "ssh-a A, ssh-b B"), api.CostLive, "1 key added",
			[]string{"ssh-keys core ssh-b B"}},
		{"SSH key replaced", fmt.Sprintf(keys, "ssh-a A"), fmt.Sprintf(keys, "ssh-b B"), api.CostLive, "1 key added, 1 key removed",
			[]string{"ssh-keys core ssh-b B ssh-a A"}},
		{"SSH keys in another order", fmt.Sprintf(keys, "ssh-a A, ssh-b B"), fmt.Sprintf(keys, "ssh-b B, ssh-a A"), api.CostNothing, "", nil},
		{"first SSH key", "", fmt.Sprintf(keys, "ssh-a A"), api.CostLive, "1 key added", []string{"ssh-keys core ssh-a A"}},
		{"last SSH key", fmt.Sprintf(keys, "ssh-a A"), "", api.CostLive, "1 key removed", []string{"ssh-keys core ssh-a A"}},
		{"hosts", oneFile("/etc/hosts", "a"), oneFile("/etc/hosts", "b"), api.CostLive, "read at each use", []string{"write /etc/hosts"}},
		{"NTP", "", oneFile("/etc/systemd/timesyncd.conf.d/10.conf", "[Time]\nNTP=a\n"), api.CostLive, "time service restarted",
			[]string{"write /etc/systemd/timesyncd.conf.d/10.conf", "restart systemd-timesyncd.service"}},
		{"DNS by resolved", "", oneFile("/etc/systemd/resolved.conf.d/10.conf", "[Resolve]\nDNS=a\n"), api.CostLive, "resolver restarted",
			[]string{"write /etc/systemd/resolved.conf.d/10.conf", "restart systemd-resolved.service"}},
		{"DNS by networkd", oneFile("/etc/systemd/network/20.network", "[Match]\nName=x\n[Network]\nDNS=1.1.1.1\n"),
			oneFile("/etc/systemd/network/20.network", "[Match]\nName=x\n[Network]\n# two\nDNS=9.9.9.9\nDNS=1.1.1.1\n"), api.CostLive, "resolvers",
			[]string{"write /etc/systemd/network/20.network", "network"}},
		{"address", oneFile("/etc/systemd/network/20.network", "[Network]\nAddress=10.0.0.1/24\n"),
			oneFile("/etc/systemd/network/20.network", "[Network]\nAddress=10.0.0.2/24\n"), api.CostReboot, "connection may stand on it",
			[]string{"write /etc/systemd/network/20.network"}},
		{"DNS of another section", oneFile("/etc/systemd/network/20.network", "[Link]\nDNS=1\n"),
			oneFile("/etc/systemd/network/20.network", "[Link]\nDNS=2\n"), api.CostReboot, "", []string{"write /etc/systemd/network/20.network"}},
		{"bond", "", oneFile("/etc/systemd/network/05-bond.netdev", "[NetDev]\n"), api.CostReboot, "", []string{"write /etc/systemd/network/05-bond.netdev"}},
		{"sysctl", oneFile("/etc/sysctl.d/10.conf", "vm.swappiness=1\n"), oneFile("/etc/sysctl.d/10.conf", "vm/swappiness = 2\n-net.x=1\n"), api.CostLive,
			"settings applied", []string{"write /etc/sysctl.d/10.conf", "sysctl"}},
		{"sysctl gone", oneFile("/etc/sysctl.d/10.conf", "vm.swappiness=1\n"), oneFile("/etc/sysctl.d/10.conf", "#\n"), api.CostReboot, "keeps vm/swappiness",
			[]string{"write /etc/sysctl.d/10.conf"}},
		{"module", "", oneFile("/etc/modules-load.d/a.conf", "dummy\n"), api.CostLive, "modules loaded",
			[]string{"write /etc/modules-load.d/a.conf", "modules"}},
		{"module gone", oneFile("/etc/modules-load.d/a.conf", "dummy\n"), "", api.CostReboot, "keeps dummy", []string{"remove /etc/modules-load.d/a.conf"}},
		{"updates", oneFile("/etc/flatcar/update.conf", "SERVER=disabled\n"), oneFile("/etc/flatcar/update.conf", "GROUP=stable\n"), api.CostLive, "update services",
			[]string{"write /etc/flatcar/update.conf", "restart update-engine.service", "restart locksmithd.service"}},
		{"SSH server", "", oneFile("/etc/ssh/sshd_config.d/x.conf", "X11Forwarding no\n"), api.CostLive, "checked",
			[]string{"write /etc/ssh/sshd_config.d/x.conf", "check-ssh", "restart ssh.service", "restart sshd.service"}},
		{"unknown file", "", oneFile("/etc/some/thing", "x"), api.CostReboot, "whatever reads it", []string{"write /etc/some/thing"}},
		{"program", "", oneFile("/opt/bin/x", "x"), api.CostLive, "read at each use", []string{"write /opt/bin/x"}},
		{"host name in the sources", "", oneFile("/etc/hostname", "other\n"), api.CostReboot, "host name", []string{"write /etc/hostname"}},
		{"machine ID", "", oneFile("/etc/machine-id", "0\n"), api.CostWipeRoot, "", []string{"write /etc/machine-id"}},
		{"mode only", "storage: {files: [{path: /opt/x, mode: 0644, contents: {inline: a}}]}\n", "storage: {files: [{path: /opt/x, mode: 0755, contents: {inline: a}}]}\n",
			api.CostLive, "mode or owner", []string{"write /opt/x"}},
		{"default mode spelled out", "storage: {files: [{path: /opt/x, contents: {inline: a}}]}\n",
			"storage: {files: [{path: /opt/x, mode: 0644, overwrite: true, contents: {inline: a}, user: {id: 0}}]}\n", api.CostNothing, "", nil},
		{"file from elsewhere", "", "storage: {files: [{path: /opt/x, contents: {source: 'http://a/b'}}]}\n", api.CostWipeRoot, "only Ignition", nil},
		{"appended file", "", "storage: {files: [{path: /etc/hosts, append: [{inline: b}]}]}\n", api.CostWipeRoot, "only Ignition", nil},
		{"file without contents", "", "storage: {files: [{path: /etc/ssh/sshd_config, mode: 0600}]}\n", api.CostWipeRoot, "no contents", nil},
		{"file without contents goes", "storage: {files: [{path: /etc/ssh/sshd_config, mode: 0600}]}\n", "", api.CostWipeRoot, "no contents", nil},
		{"mode of a file without contents", "storage: {files: [{path: /opt/x}]}\n", "storage: {files: [{path: /opt/x, mode: 0644}]}\n", api.CostWipeRoot, "no contents", nil},
		{"owner of a file without contents", "storage: {files: [{path: /opt/x}]}\n", "storage: {files: [{path: /opt/x, user: {id: 0}}]}\n", api.CostWipeRoot, "no contents", nil},
		{"same file without contents", "storage: {files: [{path: /opt/x}]}\n", "storage: {files: [{path: /opt/x}]}\n", api.CostNothing, "", nil},
		{"empty contents", "", "storage: {files: [{path: /opt/x, contents: {inline: ''}}]}\n", api.CostLive, "new", []string{"write /opt/x"}},
		{"same file from elsewhere", "storage: {files: [{path: /opt/x, contents: {source: 'http://a/b'}}]}\n",
			"storage: {files: [{path: /opt/x, contents: {source: 'http://a/b'}}]}\n", api.CostNothing, "", nil},

		{"new unit", "", oneUnit("one.service", unitV1), api.CostLive, "enabled and started",
			[]string{"write /etc/systemd/system/one.service", "daemon-reload", "restart one.service", "enable one.service", "start one.service"}},
		{"changed unit", oneUnit("one.service", unitV1), oneUnit("one.service", unitV2), api.CostLive, "changed, restarted if it runs",
			[]string{"write /etc/systemd/system/one.service", "daemon-reload", "restart one.service"}},
		{"unit wanted by another", oneUnit("one.service", unitV1), oneUnit("one.service", strings.Replace(unitV1, "multi-user", "graphical", 1)), api.CostLive,
			"changed, enabled anew, restarted if it runs", []string{"write /etc/systemd/system/one.service", "daemon-reload", "restart one.service", "reenable one.service"}},
		{"unit wanted by a drop-in", oneUnit("one.service", "      enabled: true\n"),
			oneUnit("one.service", "      enabled: true\n      dropins: [{name: a.conf, contents: \"[Install]\\nWantedBy=a.target\\n\"}]\n"), api.CostLive, "enabled anew",
			[]string{"write /etc/systemd/system/one.service.d/a.conf", "daemon-reload", "restart one.service", "reenable one.service"}},
		{"unit wanted by another, and not enabled", oneUnit("one.service", strings.Replace(unitV1, "true", "false", 1)),
			oneUnit("one.service", strings.NewReplacer("multi-user", "graphical", "true", "false").Replace(unitV1)), api.CostLive, "changed",
			[]string{"write /etc/systemd/system/one.service", "daemon-reload"}},
		{"removed unit", oneUnit("one.service", unitV1), "", api.CostLive, "stopped and removed",
			[]string{"disable one.service", "remove /etc/systemd/system/one.service", "daemon-reload", "forget one.service"}},
		{"unit disabled", oneUnit("one.service", "      enabled: true\n"), oneUnit("one.service", "      enabled: false\n"), api.CostLive, "disabled",
			[]string{"disable one.service", "daemon-reload"}},
		{"unit enabled", "", oneUnit("one.service", "      enabled: true\n"), api.CostLive, "enabled", []string{"daemon-reload", "enable one.service", "start one.service"}},
		{"unit masked", "", oneUnit("one.service", "      mask: true\n"), api.CostLive, "masked", []string{"daemon-reload", "mask one.service"}},
		{"unit unmasked", oneUnit("one.service", "      mask: true\n"), "", api.CostLive, "no longer masked",
			[]string{"daemon-reload", "unmask one.service", "forget one.service"}},
		{"no word of enabled", oneUnit("one.service", "      enabled: true\n"), "", api.CostLive, "as the image has it", []string{"daemon-reload", "forget one.service"}},
		{"drop-in", "", oneUnit("one.service", "      dropins: [{name: a.conf, contents: \"[Service]\\nNice=1\\n\"}]\n"), api.CostLive, "restarted",
			[]string{"write /etc/systemd/system/one.service.d/a.conf", "daemon-reload", "restart one.service"}},
		{"drop-in gone", oneUnit("one.service", "      dropins: [{name: a.conf, contents: \"[Service]\\nNice=1\\n\"}]\n"), "", api.CostLive, "as the image",
			[]string{"remove /etc/systemd/system/one.service.d/a.conf", "daemon-reload", "restart one.service"}},
		{"D-Bus", "", oneUnit("dbus.service", "      dropins: [{name: a.conf, contents: \"[Service]\\nNice=1\\n\"}]\n"), api.CostReboot, "does not survive",
			[]string{"write /etc/systemd/system/dbus.service.d/a.conf", "daemon-reload"}},
		{"unit as a plain file", "", oneFile("/etc/systemd/system/one.service", "[Service]\n"), api.CostLive, "restarts one.service",
			[]string{"write /etc/systemd/system/one.service", "daemon-reload", "restart one.service"}},
		{"file that a unit names", oneUnit("one.service", unitV1) + oneFile("/etc/one.env", "A=1"), oneUnit("one.service", unitV1) + oneFile("/etc/one.env", "A=2"),
			api.CostLive, "restarts one.service", []string{"write /etc/one.env", "restart one.service"}},
		{"file that goes with its unit", oneUnit("one.service", unitV1) + oneFile("/etc/one.env", "A=1"), "", api.CostLive, "for one.service",
			[]string{"disable one.service", "remove /etc/one.env", "remove /etc/systemd/system/one.service", "daemon-reload", "forget one.service"}},
		{"file whose name begins like one", oneUnit("one.service", unitV1) + oneFile("/etc/one", "A=1"), oneUnit("one.service", unitV1) + oneFile("/etc/one", "A=2"),
			api.CostReboot, "no unit", []string{"write /etc/one"}},

		{"new directory", "", "storage: {directories: [{path: /srv/a/b}, {path: /srv/a}]}\n", api.CostLive, "new", []string{"mkdir /srv/a", "mkdir /srv/a/b"}},
		{"directory gone", "storage: {directories: [{path: /srv/a/b}, {path: /srv/a}]}\n", "", api.CostLive, "if it is empty", []string{"rmdir /srv/a/b", "rmdir /srv/a"}},
		{"directory at the top gone", "storage: {directories: [{path: /tmp}]}\n", "", api.CostNothing, "it stays", []string{}},
		{"mode of one at the top gone", "storage: {directories: [{path: /tmp, mode: 0700}]}\n", "", api.CostWipeRoot, "image's", nil},
		{"mode of a directory gone", "storage: {directories: [{path: /srv/a, mode: 0700}]}\n", "storage: {directories: [{path: /srv/a}]}\n", api.CostWipeRoot, "image's", nil},
		{"group of a directory gone", "storage: {directories: [{path: /srv/a, user: {name: core}, group: {name: core}}]}\n",
			"storage: {directories: [{path: /srv/a, user: {name: core}}]}\n", api.CostWipeRoot, "image's", nil},
		{"mode of a directory", "storage: {directories: [{path: /srv/a}]}\n", "storage: {directories: [{path: /srv/a, mode: 0755}]}\n", api.CostLive, "mode or owner",
			[]string{"mkdir /srv/a"}},
		{"racker's keys", "", oneFile("/home/core/.ssh/authorized_keys", "x"), api.CostWipeRoot, "logs in", []string{"write /home/core/.ssh/authorized_keys"}},
		{"another's keys", "", oneFile("/home/ann/.ssh/authorized_keys", "x"), api.CostLive, "each use", []string{"write /home/ann/.ssh/authorized_keys"}},
		{"link to racker's keys", "", "storage: {links: [{path: /home/core/.ssh, target: /srv/ssh}]}\n", api.CostWipeRoot, "logs in", []string{"link /home/core/.ssh /srv/ssh"}},
		{"racker's home", "", "storage: {directories: [{path: /home/core, mode: 0777}]}\n", api.CostWipeRoot, "logs in", nil},
		{"racker's home as it is", "", "storage: {directories: [{path: /home/core}]}\n", api.CostLive, "new", []string{"mkdir /home/core"}},
		{"directory of racker's keys", "", "storage: {directories: [{path: /home/core/.ssh}]}\n", api.CostWipeRoot, "logs in", nil},
		{"link", "", "storage: {links: [{path: /opt/a, target: /opt/b}]}\n", api.CostLive, "new", []string{"link /opt/a /opt/b"}},
		{"link gone", "storage: {links: [{path: /opt/a, target: /opt/b}]}\n", "", api.CostLive, "removed", []string{"remove /opt/a"}},
		{"time zone", "", "storage: {links: [{path: /etc/localtime, target: ../usr/share/zoneinfo/Europe/Berlin}]}\n", api.CostReboot, "whatever reads it",
			[]string{"link /etc/localtime ../usr/share/zoneinfo/Europe/Berlin"}},

		{"new user", "", "passwd: {users: [{name: ann, uid: 1001, groups: [sudo], shell: /bin/sh, password_hash: x, no_create_home: true, system: true, ssh_authorized_keys: [ssh-a A]}]}\n",
			api.CostLive, "new", []string{"user ann --shell /bin/sh --uid 1001 --groups sudo --system --no-create-home", "password ann", "ssh-keys ann ssh-a A"}},
		{"user gone", "passwd: {users: [{name: ann, uid: 1001}]}\n", "", api.CostWipeRoot, "fresh start", nil},
		{"another user ID", "passwd: {users: [{name: ann, uid: 1001}]}\n", "passwd: {users: [{name: ann, uid: 1002}]}\n", api.CostWipeRoot, "another's", nil},
		{"groups of a user", "passwd: {users: [{name: ann, groups: [a, b]}]}\n", "passwd: {users: [{name: ann, groups: [b, c]}]}\n", api.CostLive, "groups changed",
			[]string{"groups ann c a"}},
		{"shell and password", "passwd: {users: [{name: ann, password_hash: x}]}\n", "passwd: {users: [{name: ann, shell: /bin/sh}]}\n", api.CostLive,
			"shell changed, password changed", []string{"shell ann /bin/sh", "password ann"}},
		{"new group", "", "passwd: {groups: [{name: g, gid: 7}]}\n", api.CostLive, "new", []string{"group g --gid 7"}},
		{"group gone", "passwd: {groups: [{name: g, gid: 7}]}\n", "", api.CostWipeRoot, "fresh start", nil},

		{"new partition", "storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: ROOT}]}]}\n",
			"storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: ROOT}, {number: 10, label: D}]}]}\n", api.CostWipeRoot, "Ignition makes it", nil},
		{"partition changed", "storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: ROOT, size_mib: 1000}]}]}\n",
			"storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: ROOT, size_mib: 2000}]}]}\n", api.CostReinstall, "without being told", nil},
		{"partition changed, and wiped", "storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: D, size_mib: 1000}]}]}\n",
			"storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: D, size_mib: 2000, wipe_partition_entry: true}]}]}\n", api.CostWipeRoot, "wipes it", nil},
		{"partition resized", "storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: D, size_mib: 1000, resize: true}]}]}\n",
			"storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: D, size_mib: 2000, resize: true}]}]}\n", api.CostWipeRoot, "resizes", nil},
		{"partition gone", "storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: D}, {number: 10, label: E}]}]}\n",
			"storage: {disks: [{device: /dev/sda, partitions: [{number: 9, label: D}]}]}\n", api.CostReinstall, "no longer declared", nil},
		{"new disk", "", "storage: {disks: [{device: /dev/sdb, wipe_table: true, partitions: [{label: D}]}]}\n", api.CostWipeRoot, "wipes", nil},
		{"disk gone", "storage: {disks: [{device: /dev/sdb, partitions: [{label: D}]}]}\n", "", api.CostReinstall, "no longer declared", nil},
		{"new file system", "", "storage: {filesystems: [{device: /dev/sdb, format: ext4, path: /data}]}\n", api.CostWipeRoot, "Ignition makes it", nil},
		{"file system wiped", "storage: {filesystems: [{device: /dev/sdb, format: ext4}]}\n", "storage: {filesystems: [{device: /dev/sdb, format: xfs, wipe_filesystem: true}]}\n",
			api.CostWipeRoot, "wipes it", nil},
		{"file system kept", "storage: {filesystems: [{device: /dev/sdb, format: ext4}]}\n", "storage: {filesystems: [{device: /dev/sdb, format: xfs}]}\n",
			api.CostReinstall, "without being told", nil},
		{"RAID", "", "storage: {raid: [{name: d, level: raid1, devices: [/dev/sdb, /dev/sdc]}]}\n", api.CostWipeRoot, "Ignition makes it", nil},
		{"RAID changed", "storage: {raid: [{name: d, level: raid1, devices: [/dev/sdb, /dev/sdc]}]}\n", "storage: {raid: [{name: d, level: raid0, devices: [/dev/sdb, /dev/sdc]}]}\n",
			api.CostReinstall, "without being told", nil},
		{"LUKS", "", "storage: {luks: [{name: d, device: /dev/sdb, key_file: {inline: x}}]}\n", api.CostWipeRoot, "Ignition makes it", nil},
		{"included config", "", "ignition: {config: {merge: [{source: 'http://a/b'}]}}\n", api.CostWipeRoot, "only Ignition", nil},
		{"Ignition's proxy", "", "ignition: {proxy: {http_proxy: 'http://a'}}\n", api.CostNothing, "runs the next time", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Compare(declaredNode(tt.from), declaredNode(tt.to))
			if err != nil {
				t.Fatal(err)
			}
			if got.Cost != tt.cost {
				t.Errorf("cost %s, want %s: %+v", got.Cost, tt.cost, got.Changes)
			}
			if tt.why != "" && (len(got.Changes) == 0 || !strings.Contains(got.Changes[0].Why, tt.why)) {
				t.Errorf("changes %+v, want first %q", got.Changes, tt.why)
			}
			if tt.why == "" && tt.cost == api.CostNothing && len(got.Changes) > 0 {
				t.Errorf("changes %+v, want none", got.Changes)
			}
			if d := cmp.Diff(append([]string{}, tt.want...), steps(got.Actions)); d != "" {
				t.Errorf("actions (-want +got):\n%s", d)
			}
		})
	}
}

// TestCompareNode changes what is not in an Ignition config.
func TestCompareNode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*api.NodeConfig)
		cost   string
		what   string
		kernel bool
	}{
		{"as it is", func(*api.NodeConfig) {}, api.CostNothing, "", false},
		{"image", func(c *api.NodeConfig) { c.Image = "new" }, api.CostReinstall, "image", false},
		{"image left open", func(c *api.NodeConfig) { c.Image = "" }, api.CostNothing, "", false},
		{"disk", func(c *api.NodeConfig) { c.Disk.Name = "wwn" }, api.CostReinstall, "install disk", false},
		{"what the daemon remembers", func(c *api.NodeConfig) { c.Disk.Remembered = "x" }, api.CostNothing, "", false},
		{"kernel arguments", func(c *api.NodeConfig) { c.KernelArgs = []string{"quiet"} }, api.CostReboot, "kernel arguments", true},
		{"console", func(c *api.NodeConfig) { c.Console = "ttyS1" }, api.CostReboot, "console", true},
		{"wipe", func(c *api.NodeConfig) { c.Wipe = api.WipeAll }, api.CostNothing, "wipe", false},
		{"version", func(c *api.NodeConfig) { c.Labels = map[string]string{"version": "2"} }, api.CostNothing, "label version", false},
		{"host name", func(c *api.NodeConfig) { c.HostName = "other" }, api.CostReboot, "file /etc/hostname", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, to := declaredNode(""), declaredNode("")
			from.Image, to.Image = "old", "old"
			tt.change(to)
			got, err := Compare(from, to)
			if err != nil {
				t.Fatal(err)
			}
			what := ""
			if len(got.Changes) > 0 {
				what = got.Changes[0].What
			}
			if got.Cost != tt.cost || what != tt.what || got.Kernel() != tt.kernel {
				t.Errorf("got %s, kernel %t, %+v", got.Cost, got.Kernel(), got.Changes)
			}
		})
	}
}

// TestCompareTakesTheDearest mixes changes; the last source of a config wins.
func TestCompareTakesTheDearest(t *testing.T) {
	t.Parallel()
	from, to := declaredNode(oneFile("/etc/hosts", "a")), declaredNode(oneFile("/etc/hosts", "b"))
	to.Butane = append(to.Butane, api.ButaneSource{Name: "cl/node-1-custom.yaml", Butane: testHead + oneFile("/etc/hosts", "a")})
	got, err := Compare(from, to)
	if err != nil || got.Cost != api.CostNothing {
		t.Errorf("the custom file did not win: %+v, %v", got, err)
	}
	to.KernelArgs = []string{"quiet"}
	to.Butane = append(to.Butane, api.ButaneSource{Name: "x", Butane: testHead + "storage: {filesystems: [{device: /dev/sdb, format: ext4, wipe_filesystem: true}]}\n"})
	if got, err = Compare(from, to); err != nil || got.Cost != api.CostWipeRoot || len(got.Changes) != 2 || got.Changes[1].Cost != api.CostReboot {
		t.Errorf("%+v, %v", got, err)
	}
	if d := cmp.Diff([]string{"the file system on /dev/sdb"}, got.Erases); d != "" {
		t.Errorf("erases (-want +got):\n%s", d)
	}
}

// TestCompareWithoutAConfig: nobody knows what is on such a node.
func TestCompareWithoutAConfig(t *testing.T) {
	t.Parallel()
	to := declaredNode(oneFile("/etc/hosts", "a"))
	to.Image, to.Disk.Name = "os", "wwn"
	got, err := Compare(nil, to)
	if err != nil || got.Cost != api.CostWipeRoot {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCompareBadConfig(t *testing.T) {
	t.Parallel()
	good, bad := declaredNode(""), declaredNode("storage: {files: [{path: relative}]}\n")
	future := &api.NodeConfig{Butane: []api.ButaneSource{{Name: "cl/x.yaml", Butane: "variant: fcos\nversion: 1.99.0\n"}}}
	for _, pair := range [][2]*api.NodeConfig{{good, bad}, {bad, good}, {good, future}} {
		var e *ConfigError
		if _, err := Compare(pair[0], pair[1]); !errors.As(err, &e) || !strings.HasPrefix(e.Name, "cl/") {
			t.Errorf("error %v", err)
		}
	}
}

func TestDearer(t *testing.T) {
	t.Parallel()
	for i, cost := range costs() {
		for j, limit := range costs() {
			if Dearer(cost, limit) != (i > j) {
				t.Errorf("%s and %s", cost, limit)
			}
		}
	}
	if !Dearer("free", api.CostReinstall) || !Dearer(api.CostLive, "free") {
		t.Error("an unknown word was taken for a cost")
	}
}

func TestNetworkProblems(t *testing.T) {
	t.Parallel()
	const mac = "0c:42:a1:11:22:33"
	tests := []struct{ name, butane, want string }{
		{"public NIC", oneFile("/etc/systemd/network/05-public.network", "[Match]\nMACAddress=0c:42:a1:11:22:44\n[Network]\nDHCP=yes\n"), ""},
		{"later file", oneFile("/etc/systemd/network/20-all.network", "[Match]\nType=ether\n"), ""},
		{"every NIC, first", oneFile("/etc/systemd/network/05-all.network", "[Match]\nName=*\n"), "comes before"},
		{"type, first", oneFile("/etc/systemd/network/05-all.network", "[Match]\nType=ether\n"), "comes before"},
		{"its MAC, first", oneFile("/etc/systemd/network/05-x.network", "[Match]\nMACAddress=0C-42-A1-11-22-33\n"), "comes before"},
		{"a bond", oneFile("/etc/systemd/network/05-x.network", "[Match]\nKind=bond\n"), ""},
		{"empty", oneFile("/etc/systemd/network/05-x.network", ""), "empty"},
		{"racker's own", oneFile("/etc/systemd/network/10-racker-internal.network", "[Match]\nName=x\n"), "racker's own"},
		{"no networkd", oneUnit("systemd-networkd.service", "      mask: true\n"), "nobody reaches"},
		{"no SSH server", oneUnit("sshd.socket", "      enabled: false\n"), "nobody reaches"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := NetworkProblems([]Source{{Name: "x", Butane: []byte(testHead + tt.butane)}}, mac)
			text := strings.Join(got, "\n")
			if err != nil || (text == "") != (tt.want == "") || !strings.Contains(text, tt.want) {
				t.Errorf("%q, %v, want %q", text, err, tt.want)
			}
		})
	}
}
