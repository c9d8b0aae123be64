package ignite

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/ignition/v2/config/v3_3"
	"github.com/coreos/ignition/v2/config/v3_4"
	"github.com/coreos/ignition/v2/config/v3_5"
	"github.com/coreos/ignition/v2/config/v3_6"
	"github.com/coreos/vcontext/report"

	"github.com/racker-project/racker/pkg/cluster"
	"github.com/racker-project/racker/pkg/internal/golden"
	"github.com/racker-project/racker/pkg/rack"
)

func testMAC(t *testing.T, text string) rack.MAC {
	t.Helper()
	mac, err := rack.ParseMAC(text)
	if err != nil {
		t.Fatal(err)
	}
	return mac
}

// resolved gives the spec of node-1 by the text of a cluster.yaml.
func resolved(t *testing.T, text string) *cluster.Spec {
	t.Helper()
	file, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	specs, _, err := file.Resolve(cluster.Site{
		Network: netip.MustParsePrefix("172.24.213.0/24"), Server: netip.MustParseAddr("172.24.213.1"), Ports: []int{8080, 8443},
		Nodes: []cluster.SiteNode{{
			Name: "node-1", Type: "compute", Where: "node-1 (U1)", Address: netip.MustParseAddr("172.24.213.2"),
			Primary: testMAC(t, "52:54:00:00:00:01"), Secondary: testMAC(t, "52:54:00:00:01:01"), BMC: testMAC(t, "52:54:00:00:02:01"),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &specs[0]
}

// declarations are cluster.yaml files, by the names of the golden files of their nodes' configs.
func declarations() map[string]string {
	const key = "ssh_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7vkSGUtM4rkrUhLxRX6lSYZzhMLh9pQX1+kIv/wVXT me]\n"
	return map[string]string{
		"dhcp": key,
		"none": "network: none\n",
		"static": key + `
network:
  addresses: [203.0.113.5/24, 203.0.113.6/24, "2001:db8::5/64"]
  gateway: [203.0.113.1, "2001:db8::1"]
  dns: [203.0.113.53, "2001:db8::53"]
  search: [example.com]
  ntp: [ntp.example.com, 203.0.113.123]
  mtu: 9000
  routes:
    - {to: 198.51.100.0/24, via: 203.0.113.254, metric: 100}
sysctls: {vm.max_map_count: 262144, net.ipv4.ip_forward: 1}
hosts: {registry.example.com: 203.0.113.9, mirror.example.com: [203.0.113.9, "2001:db8::9"]}
updates: no-reboot
image: {channel: stable, version: 4593.2.5}
`,
		"bond": key + `
network:
  bonds:
    bond0: {mode: 802.3ad, lacp_rate: fast, mtu: 9000, members: [primary, secondary]}
  vlans:
    public:
      id: 100
      on: bond0
      mtu: 9000
      addresses: [203.0.113.5/24, "2001:db8::5/64"]
      gateway: 203.0.113.1
  dns: 203.0.113.53
updates: reboot
`,
		"active-backup": `
network:
  bonds:
    uplink:
      mode: active-backup
      members: ["52:54:00:00:01:01", "52:54:00:00:03:01"]
      primary: "52:54:00:00:03:01"
      dhcp: ipv4
`,
		"one-nic": `
network:
  nic: primary
  dhcp: true
  vlans: {storage: {id: 7, on: primary, addresses: [10.7.0.5/16]}}
`,
	}
}

func TestButane(t *testing.T) {
	t.Parallel()
	for name, text := range declarations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := resolved(t, text)
			got, err := Butane(spec)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "butane-"+name+".yaml", got)
			if warnings, err := Check("cl/node-1.yaml", got); err != nil || len(warnings) > 0 {
				t.Errorf("%v, %v", warnings, err)
			}
			again, err := Butane(resolved(t, text))
			if err != nil || string(again) != string(got) {
				t.Error("the same spec makes another text")
			}
		})
	}
}

// TestDeclaredIsIgnition renders every declaration at every spec version, and has Ignition's own parser of that version read it;
// Debian's Ignition, which is the test OS's, reads the oldest.
func TestDeclaredIsIgnition(t *testing.T) {
	t.Parallel()
	parsers := map[string]func([]byte) (report.Report, error){
		"3.3.0": func(b []byte) (report.Report, error) { _, r, err := v3_3.Parse(b); return r, err },
		"3.4.0": func(b []byte) (report.Report, error) { _, r, err := v3_4.Parse(b); return r, err },
		"3.5.0": func(b []byte) (report.Report, error) { _, r, err := v3_5.Parse(b); return r, err },
		"3.6.0": func(b []byte) (report.Report, error) { _, r, err := v3_6.Parse(b); return r, err },
	}
	if len(parsers) != len(versions()) {
		t.Errorf("%d parsers for %d versions", len(parsers), len(versions()))
	}
	for name, text := range declarations() {
		butane, err := Butane(resolved(t, text))
		if err != nil {
			t.Fatal(err)
		}
		custom := []byte("variant: flatcar\nversion: 1.0.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents: {inline: hello}\n")
		for version, parse := range parsers {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				raw, err := Render(t.Context(), Spec{Node: testNode(t), Version: version,
					Custom: []Source{{"cl/node-1.yaml", butane}, {"cl/node-1-custom.yaml", custom}}})
				if err != nil {
					t.Fatal(err)
				}
				if found, err := parse(raw); err != nil || len(found.Entries) > 0 {
					t.Errorf("%v\n%s\n%s", err, found.String(), raw)
				}
				if version == "3.3.0" {
					validate(t, raw)
				}
			})
		}
	}
}

// validate asks Debian's ignition-validate.
func validate(t *testing.T, raw []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.ign")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "ignition-validate", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("ignition-validate: %v\n%s", err, out)
	}
}

// TestDeclaredWins: what is declared replaces racker's own file for the internal NIC, which takes its address by DHCP.
func TestDeclaredWins(t *testing.T) {
	t.Parallel()
	butane, err := Butane(resolved(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	node := testNode(t)
	node.InternalMAC = "52:54:00:00:00:01"
	files := contents(t, render(t, Spec{Node: node, Custom: []Source{{"cl/node-1.yaml", butane}}}))
	text := files[networkDir+internalFile]
	for _, want := range []string{"MACAddress=52:54:00:00:00:01\n", "DHCP=no\n", "Address=172.24.213.2/24\nScope=link\n", "RequiredForOnline=no\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "Gateway=") {
		t.Errorf("there is a gateway in\n%s", text)
	}
}

// TestNames: those of other nodes are racker's own part, and in none of what is declared.
func TestNames(t *testing.T) {
	t.Parallel()
	node := testNode(t)
	if _, has := contents(t, render(t, Spec{Node: node}))[ClusterHosts]; has {
		t.Error("there is a file of names without names")
	}
	node.Names = HostLine(netip.MustParseAddr("203.0.113.6"), "node-2")
	if got := contents(t, render(t, Spec{Node: node}))[ClusterHosts]; got != "203.0.113.6 node-2\n" {
		t.Errorf("names: %q", got)
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	for text, literal := range map[string]bool{
		"a\n": true, "a\n\nb\n": true, "a\n\tx\n": true, "\tx\n": false, "": false, "a": false, "a\n\n": false, "\na\n": false, " a\n": false, "\u00e9\n": false, "\n": false,
		"a\x00\n": false,
	} {
		if got := strings.HasPrefix(block(text).String(), "|"); got != literal {
			t.Errorf("%q: literal %t", text, got)
		}
	}
}

func FuzzBlock(f *testing.F) {
	for _, seed := range []string{"a\n", "\ta\n  b\n", "#\n", "- x: |\n", "a\n\n\nb\n", "\u2028\n", "...\n", "---\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		butane := "variant: flatcar\nversion: 1.0.0\nstorage:\n  files:\n    - path: /a\n      contents:\n        inline: " + block(text).String() + "\n"
		config, _, err := Translate("x", []byte(butane))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		parsed, _, err := v3_3.Parse(config)
		if err != nil {
			t.Fatal(err)
		}
		files := contents(t, parsed)
		if want := string([]rune(text)); files["/a"] != want {
			t.Errorf("%q came back as %q", want, files["/a"])
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const head = "variant: flatcar\nversion: 1.0.0\n"
	if _, err := Check("cl/x-custom.yaml", []byte(head+"systemd:\n  unit:\n    - name: a.service\nstorrage: {}\n")); err == nil ||
		!strings.Contains(err.Error(), "cl/x-custom.yaml line 4") || !strings.Contains(err.Error(), "line 6") || !strings.Contains(err.Error(), "storrage") {
		t.Errorf("error %v, want both unknown keys with their lines", err)
	}
	if _, err := Check("x", []byte(head)); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]bool{"": true, "# a\n#b: c\n": true, "a: b\n": false, "{": false} {
		if Empty([]byte(text)) != want {
			t.Errorf("%q: empty %t", text, !want)
		}
	}
}
