package fleet

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		settings Settings
		servers  int
		prefix   string
		bmcs     string // empty: leased
		err      string
	}{
		{name: "three", servers: 3, prefix: "172.24.213.0/24"},
		{name: "as many as a /24 holds", servers: 63, prefix: "172.24.213.0/24"},
		{name: "one more", servers: 64, prefix: "172.24.212.0/23"},
		{name: "the most with leased BMCs", servers: 250, prefix: "172.24.212.0/22"},
		{name: "BMCs apart", servers: 251, prefix: "172.24.212.0/23", bmcs: "10.213.0.0/16"},
		{name: "a thousand", servers: 1000, prefix: "172.24.208.0/21", bmcs: "10.213.0.0/16"},
		{name: "a thousand, leased", settings: Settings{BMC: BMCLeased}, servers: 1000, prefix: "172.24.208.0/20"},
		{name: "the most", servers: MaxServers, prefix: "172.24.128.0/17", bmcs: "10.213.0.0/16"},
		{name: "too many to lease", settings: Settings{BMC: BMCLeased}, servers: 20000, err: "no room"},
		{name: "a prefix that is too small", settings: Settings{Prefix: netip.MustParsePrefix("10.0.0.0/26")}, servers: 16, err: "no room"},
		{name: "no room for BMCs", settings: Settings{BMC: BMCStatic, BMCNetwork: netip.MustParsePrefix("10.0.0.0/28")}, servers: 14, err: "no room"},
	}
	for _, test := range tests {
		l, err := test.settings.layout(test.servers)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		bmcs := ""
		if l.bmcs.IsValid() {
			bmcs = l.bmcs.String()
		}
		if err != nil || l.prefix.Masked().String() != test.prefix || bmcs != test.bmcs {
			t.Errorf("%s: %s, BMCs %q, %v", test.name, l.prefix, bmcs, err)
		}
		rows := l.rows(test.servers)
		rows.Nodes[0].Management = true
		if _, err := rack.MakePlan(l.prefix, rows, nil); err != nil {
			t.Errorf("%s: racker cannot plan it: %v", test.name, err)
		}
	}
}

// The OEM folder is what racker reads, and stays as it is when the same fleet comes again.
func TestPrepare(t *testing.T) {
	t.Parallel()
	f := sim.Folder(t.TempDir())
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(f.OEM(), name))
		check(t, err)
		return string(b)
	}
	rows := func() int { return strings.Count(read("nodes.csv"), "\n") - 2 }
	_, err := prepare(f, Settings{}, 0)
	check(t, err)
	if rows() != defaultServers || read("ipmi_user") != "USER\n" || read("ipmi_password") != "PASS\n" {
		t.Errorf("%d servers, user %q, password %q", rows(), read("ipmi_user"), read("ipmi_password"))
	}
	l, err := prepare(f, Settings{}, 300)
	check(t, err)
	if rows() != 300 {
		t.Errorf("%d servers, want 300", rows())
	}
	s, err := config.Load(config.Sources{File: f.Config(), LookupEnv: func(string) (string, bool) { return "", false }})
	check(t, err)
	if s.Internal.Prefix != l.prefix.Masked() || s.BMC.Mode != config.BMCStatic || s.BMC.Network != l.bmcs {
		t.Errorf("racker reads %+v, %+v", s.Internal, s.BMC)
	}
	check(t, os.WriteFile(filepath.Join(f.OEM(), "nodes.csv"), []byte(strings.Replace(read("nodes.csv"), "compute", "storage", 1)), 0o600))
	if again, err := prepare(f, Settings{}, 0); err != nil || again != l || !strings.Contains(read("nodes.csv"), "storage") {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if l, err := prepare(f, Settings{BMC: BMCLeased}, 0); err != nil || l.bmcs.IsValid() || rows() != 300 || strings.Contains(read("nodes.csv"), "10.213") {
		t.Errorf("leased now: %+v, %v", l, err)
	}
	if _, err := prepare(f, Settings{}, MaxServers+1); err == nil {
		t.Error("too many servers are taken")
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "sim.yaml")
	check(t, os.WriteFile(name, []byte(`
scale: 0.5
fleet: {speed: 10M, post: 2s}
nodes:
  node-1: {firmware: uefi, http_boot: true, faults: [no-tftp]}
  52:54:01:f1:00:02: {disk: 8G, serial: ABC}
`), 0o600))
	s, err := ReadSettings(name)
	check(t, err)
	s = Settings{Scale: 2, Fleet: Server{Speed: 20 << 20}}.Over(s)
	r := layout{}.rows(3)
	for i := range r.Nodes {
		r.Nodes[i].Name, r.Nodes[i].Management = []string{"management", "node-1", "node-2", "node-3"}[i], i == 0
	}
	got, err := s.servers(r)
	check(t, err)
	base := defaultServer()
	base.Firmware, base.POST, base.Speed = sim.FirmwareBIOS, 2*time.Second, 20<<20
	first, second, third := base, base, base
	first.Firmware, first.HTTPBoot, first.Faults, first.faults.NoTFTP, first.Serial = sim.FirmwareUEFI, true, []string{"no-tftp"}, true, "FAKEF10001"
	second.Firmware, second.Disk, second.Serial = sim.FirmwareUEFI, 8<<30, "ABC"
	third.Serial = "FAKEF10003"
	want := map[string]Server{"node-1": first, "node-2": second, "node-3": third}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Server{})); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	if s.Scale != 2 {
		t.Errorf("scale %g", s.Scale)
	}
}

func TestSettingsRefused(t *testing.T) {
	t.Parallel()
	r := layout{}.rows(1)
	r.Nodes[0].Management, r.Nodes[1].Name = true, "node-1"
	for want, text := range map[string]string{
		"colour":          "colour: red",
		"names no server": "nodes: {node-9: {}}",
		"want bios":       "fleet: {firmware: openfirmware}",
		"only UEFI":       "nodes: {node-1: {firmware: bios, http_boot: true}}",
		"boot_order":      "fleet: {boot_order: floppy}",
		"at most an hour": "fleet: {post: 2h}",
		`fault "rain"`:    "fleet: {faults: [rain]}",
		"want leased":     "bmc: wild",
		"scale":           "scale: -1",
		"number of bytes": "fleet: {speed: fast}",
	} {
		name := filepath.Join(t.TempDir(), "sim.yaml")
		check(t, os.WriteFile(name, []byte(text), 0o600))
		s, err := ReadSettings(name)
		if err == nil {
			err = s.validate()
		}
		if err == nil {
			_, err = s.servers(r)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
