package cluster

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/racker-project/racker/pkg/rack"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	specs, warnings := resolve(t, `
image: {channel: stable, version: "1"}
ssh_keys: [`+testKey+`]
sysctls: {vm.a: 1, vm.b: 1}
kernel_args: [a]
console: ttyS0
snippets: [all.yaml]
types:
  Compute: {image: {version: "2"}, sysctls: {vm.b: 2}, snippets: type.yaml, wipe: none, autologin: yes, updates: reboot}
  nobody: {}
nodes:
  node-1:
    image: own
    sysctls: {vm.b: 3}
    snippets: [node.yaml, all.yaml]
    kernel_args: [b]
    wipe: all
    updates: off
    ssh_keys: `+testKey+`2
    disk: {model: "Samsung*", size: {min: 100G, max: 1TB}, rotational: false}
    health: systemctl is-system-running
    ignore_changes: true
    wipe_old_os: true
    wipe_foreign: true
  web:
    mac: 52-54-00-00-00-02
    console: ""
`)
	no := false
	want := []Spec{
		{
			Name: "node-1", MAC: mac(0, 1), Type: "compute", Line: 12, Image: Image{Name: "own"}, SSHKeys: []string{testKey, testKey + "2"},
			Internal: internal(2), Wipe: WipeAll, WipeOldOS: true, WipeForeign: true, Console: "ttyS0", KernelArgs: []string{"b", autologinArg}, Updates: UpdatesOff,
			Disk:    DiskRule{Model: "Samsung*", MinSize: 100e9, MaxSize: 1e12, Rotational: &no},
			Sysctls: []Sysctl{{"vm.a", "1"}, {"vm.b", "3"}}, Health: "systemctl is-system-running", Snippets: []string{"all.yaml", "type.yaml", "node.yaml"},
			IgnoreChanges: true, Network: dhcpOn(mac(1, 1)),
		},
		{
			Name: "web", MAC: mac(0, 2), Type: "compute", Line: 25, Image: Image{Channel: "stable", Version: "2"}, SSHKeys: []string{testKey},
			Internal: internal(3), Wipe: WipeNone, KernelArgs: []string{"a", autologinArg}, Updates: UpdatesReboot,
			Sysctls: []Sysctl{{"vm.a", "1"}, {"vm.b", "2"}}, Snippets: []string{"all.yaml", "type.yaml"}, Network: dhcpOn(mac(1, 2)),
		},
		{
			Name: "node-3", MAC: mac(0, 3), Type: "storage", Image: Image{Channel: "stable", Version: "1"}, SSHKeys: []string{testKey},
			Internal: internal(4), Wipe: WipeInstallDisk, Console: "ttyS0", KernelArgs: []string{"a"}, Updates: UpdatesOff,
			Sysctls: []Sysctl{{"vm.a", "1"}, {"vm.b", "1"}}, Snippets: []string{"all.yaml"}, Network: Network{None: true},
		},
	}
	if d := cmp.Diff(want, specs, unexported()...); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[1].String(), "cluster.yaml:10:3: types.nobody: no row") ||
		!strings.Contains(warnings[0].String(), "node-3 (U3)") {
		t.Errorf("warnings: %v", warnings)
	}
}

func internal(last byte) Internal {
	return Internal{
		Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 24, 213, last}), 24), Server: netip.MustParseAddr("172.24.213.1"), Ports: []int{8080, 8443},
	}
}

func dhcpOn(nic rack.MAC) Network {
	return Network{NICs: []NIC{{MAC: nic, Link: Link{DHCP: DHCPOn}}}}
}

func unexported() []cmp.Option {
	return []cmp.Option{
		cmpopts.IgnoreUnexported(Network{}, Link{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty(),
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	specs, _ := resolve(t, "hosts: {b: [10.0.0.2, '2001:db8::1'], a: 10.0.0.2, C: 10.0.0.1}\n")
	want := []Host{
		{netip.MustParseAddr("10.0.0.1"), []string{"c"}}, {netip.MustParseAddr("10.0.0.2"), []string{"a", "b"}},
		{netip.MustParseAddr("2001:db8::1"), []string{"b"}},
	}
	if d := cmp.Diff(want, specs[0].Hosts, unexported()...); d != "" {
		t.Error(d)
	}
}

// TestUnknownNodes: an entry that fits no row is refused, with the row that it could be.
func TestUnknownNodes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"misspelt":          {"nodes:\n  nod-1: {}\n", "nodes.csv has no node of this name; did you mean node-1 (U1), or is it that one under a new name"},
		"renamed":           {"nodes:\n  node-1: {}\n  node-2: {}\n  db: {}\n", "if it is node-3 (U3) under a new name, write mac: \"52:54:00:00:00:03\" below it"},
		"one of many":       {"nodes:\n  database: {}\n", "rows without an entry are node-1, node-2, node-3"},
		"unknown MAC":       {"nodes:\n  database: {mac: 52:54:00:00:00:77}\n", "cluster.yaml:2:19: nodes.database.mac: nodes.csv has no row with the primary MAC 52:54:00:00:00:77"},
		"new hardware":      {"nodes:\n  node-2: {mac: 52:54:00:00:00:77}\n", "52:54:00:00:00:77; node-2 (U2) has 52:54:00:00:00:02"},
		"twice":             {"nodes:\n  node-1: {}\n  x: {mac: 52:54:00:00:00:01}\n", "cluster.yaml:3:3: nodes.x: is node-1 (U1), as node-1 on line 2 is"},
		"takes a name":      {"nodes:\n  node-2: {mac: 52:54:00:00:00:01}\n", "nodes.node-2: is the name of node-1 (U1) and of node-2 (U2)"},
		"management":        {"nodes:\n  management: {}\n", "is the management node"},
		"management by MAC": {"nodes:\n  x: {mac: 52:54:00:00:00:ff}\n", "is the management node"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := wrong(t, tt.text); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
