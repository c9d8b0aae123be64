package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/rack"
)

func cmpAddr() cmp.Option {
	return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
}

// environment is a LookupEnv over a map.
func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "racker.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const fullFile = `
oem_dir: /a
state_dir: /b
socket: /c
payload_dir: /d
internal: {interface: enp2s0, prefix: 10.1.0}
management_mac: 52-54-00-AA-00-01
dhcp: off
bmc:
  mode: static
  network: 10.9.0.7/16
ports: {dhcp: 1067, tftp: 1069, http: 80, https: 443}
chain_ipxe: always
microkernel:
  args: [debug, net.ifnames=0]
  default: mk-1
console: ttyS1,57600n8
deadlines: {check_bmc: 1m, power: 2m30s, netboot: 3m, agent: 4m, disks: 90s, stalled: 5s, boot: 24h, retry: 0s}
limits: {power_interval: 2s, image_streams: 7}
sntp: off
names: {hosts: /f, known_hosts: /g}
log: {level: debug, format: json}
image:
  mirror: http://m/{channel}
  proxy: http://p:3128
  no_proxy: 10.0.0.0/8,localhost
  key_url: http://k/key.asc
  key_file: /key.asc
  key_fingerprint: 0123 4567 89ab cdef 0123  4567 89ab cdef 0123 4567
  profiles: /e
`

func fullSettings() Settings {
	return Settings{
		OEMDir: "/a", StateDir: "/b", Socket: "/c", PayloadDir: "/d",
		Internal:      Internal{Interface: "enp2s0", Prefix: netip.MustParsePrefix("10.1.0.0/24")},
		ManagementMAC: rack.MAC{0x52, 0x54, 0, 0xaa, 0, 1}, DHCP: DHCPOff,
		BMC:       BMC{Mode: BMCStatic, Network: netip.MustParsePrefix("10.9.0.0/16")},
		Ports:     Ports{DHCP: 1067, TFTP: 1069, HTTP: 80, HTTPS: 443},
		ChainIPXE: ChainAlways, Microkernel: Microkernel{Args: []string{"debug", "net.ifnames=0"}, Default: "mk-1"},
		Console: "ttyS1,57600n8", Log: Log{Level: LogDebug, Format: LogJSON},
		Deadlines: Deadlines{
			CheckBMC: time.Minute, Power: 150 * time.Second, Netboot: 3 * time.Minute,
			Agent: 4 * time.Minute, Disks: 90 * time.Second, Stalled: 5 * time.Second, Boot: 24 * time.Hour,
		},
		Limits: Limits{PowerInterval: 2 * time.Second, ImageStreams: 7},
		SNTP:   SNTPOff, Names: Names{Hosts: "/f", KnownHosts: "/g"},
		Image: Image{
			Mirror: "http://m/{channel}", Proxy: "http://p:3128", NoProxy: "10.0.0.0/8,localhost", KeyURL: "http://k/key.asc",
			KeyFile: "/key.asc", KeyFingerprint: "0123456789ABCDEF0123456789ABCDEF01234567", Profiles: "/e",
		},
	}
}

// TestEverySource sets every setting by file and by variable, and wants the same.
func TestEverySource(t *testing.T) {
	t.Parallel()
	want := fullSettings()
	byFile, err := Load(Sources{File: writeFile(t, fullFile), LookupEnv: environment(nil)})
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"RACKER_CONFIG": writeFile(t, "# nothing\n")}
	for _, k := range keys() {
		vars[k.env()] = k.get(&want)
	}
	byEnv, err := Load(Sources{LookupEnv: environment(vars)})
	if err != nil {
		t.Fatal(err)
	}
	for source, got := range map[string]Settings{"file": byFile, "environment": byEnv} {
		if n := len(got.Origin); n != len(keys()) {
			t.Errorf("%s: %d of %d settings have an origin", source, n, len(keys()))
		}
		got.Origin = nil
		if diff := cmp.Diff(want, got, cmpAddr()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", source, diff)
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "oem_dir: /file\nstate_dir: /file\nsocket: /file\nmicrokernel: {args: }\n")
	s, err := Load(Sources{
		LookupEnv: environment(map[string]string{
			"RACKER_CONFIG": file, "RACKER_STATE_DIR": " /env ", "RACKER_SOCKET": "/env", "RACKER_MICROKERNEL_ARGS": " a  b ",
		}),
		Flags: map[string]string{"socket": "/flag", "management_mac": "52:54:00:aa:00:01"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range s.Entries() {
		if e.Source != "default" {
			got = append(got, e.Name+"="+e.Value+" by "+strings.ReplaceAll(e.Source, file, "FILE"))
		}
	}
	want := []string{
		"oem_dir=/file by FILE:1", "state_dir=/env by RACKER_STATE_DIR", "socket=/flag by --socket",
		"management_mac=52:54:00:aa:00:01 by --management-mac", "microkernel.args=a b by RACKER_MICROKERNEL_ARGS",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// TestErrors wants all mistakes of a source at once.
func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		env, flags map[string]string
		want       []string // parts, one per line of the error; FILE: is the file
	}{
		{name: "unknown names", file: "oemDir: /x\nlog: {leveL: info, colour: red}\n", want: []string{
			"FILE:1:1: no setting oemDir, did you mean oem_dir?", "FILE:2:7: no setting log.leveL, did you mean log.level?",
			"FILE:2:20: no setting log.colour"}},
		{name: "wrong values", file: "internal:\n  prefix: 10.0.0.0/27\nports: {dhcp: 0, tftp: x}\nmanagement_mac: ff:ff:ff:ff:ff:ff\n", want: []string{
			"FILE:2:11: internal.prefix: network 10.0.0.0/27: want a prefix from /16 to /26", "FILE:3:15: ports.dhcp:", "FILE:3:24: ports.tftp:",
			"FILE:4:17: management_mac: "}},
		{name: "wrong shapes", file: "console: [a]\nmicrokernel:\n  args: [[a]]\n  default: {a: b}\nbmc: 7\n", want: []string{
			"FILE:1:10: console: want one value", "FILE:3:10: microkernel.args: want a list of words",
			"FILE:4:12: microkernel.default: want one value", "FILE:5:6: want names and values below bmc"}},
		{name: "args as a mapping", file: "microkernel: {args: {a: b}}", want: []string{"FILE:1:21: microkernel.args: want a list of words"}},
		{name: "twice", file: "bmc: {mode: dhcp}\nbmc: {mode: dhcp}\n", want: []string{"FILE:2:1: bmc is set twice, first on line 1"}},
		{name: "a list", file: "- a\n", want: []string{"FILE:1:1: want names and values"}},
		{name: "no YAML", file: "a: [", want: []string{"FILE: yaml: line 1"}},
		{name: "two documents", file: "dhcp: full\n---\ndhcp: off\n", want: []string{"FILE: more than one YAML document"}},
		{name: "variables", env: map[string]string{"RACKER_PORTS_HTTP": "no", "RACKER_BMC_NETWORK": "10.0.0.0"}, want: []string{
			`RACKER_BMC_NETWORK: "10.0.0.0": want a CIDR`, `RACKER_PORTS_HTTP: "no": want a port from 1 to 65535`}},
		{name: "flags", flags: map[string]string{"management_mac": "x", "colour": "red"}, want: []string{
			"no setting colour", `--management-mac: "x": not a MAC address`}},
		{name: "every source", file: "x: y\n", env: map[string]string{"RACKER_DHCP": "some"}, flags: map[string]string{"bmc.mode": "x"}, want: []string{
			"FILE:1:1: no setting x", `RACKER_DHCP: "some": want full, proxy or off`, `--bmc-mode: "x": want dhcp or static`}},
		{name: "proxy", env: map[string]string{"RACKER_DHCP": "proxy"}, want: []string{"dhcp: this version has no proxy mode; use full, or off"}},
		{name: "times", file: "deadlines: {power: 1ms, boot: 25h, agent: x}\n", want: []string{
			`deadlines.power: "1ms": want a time from 1s to 24h`, `deadlines.boot: "25h": want`, `deadlines.agent: "x": want`}},
		{name: "together", file: "socket: ''\nconsole: a b\nbmc: {mode: static}\nports: {https: 8080, tftp: 67}\nmicrokernel: {args: ['x=${y}']}\ninternal: {interface: a/b}\n",
			want: []string{"socket: must not be empty (set by FILE:1)", "bmc.network: must be set when bmc.mode is static",
				"ports.https: is 8080, the same as ports.http (set by FILE:4)", "ports.tftp: is 67, the same as ports.dhcp",
				`console: "a b"`, `microkernel.args: "x=${y}"`, `internal.interface: "a/b" is not the name`}},
		{name: "network without static", file: "bmc: {network: 10.0.0.0/8}", want: []string{"bmc.network: has no meaning unless"}},
		{name: "long socket", flags: map[string]string{"socket": "/" + strings.Repeat("x", 107)}, want: []string{"socket: 108 bytes long"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := writeFile(t, tt.file)
			_, err := Load(Sources{File: file, LookupEnv: environment(tt.env), Flags: tt.flags})
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(strings.ReplaceAll(err.Error(), file, "FILE"), "\n")
			if !slices.EqualFunc(got, tt.want, strings.Contains) {
				t.Errorf("errors:\n%s\nwant parts:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	gone := filepath.Join(t.TempDir(), "gone.yaml")
	for name, src := range map[string]Sources{
		"by flag":     {File: gone, LookupEnv: environment(nil)},
		"by variable": {LookupEnv: environment(map[string]string{"RACKER_CONFIG": gone})},
	} {
		if _, err := Load(src); err == nil || !strings.Contains(err.Error(), gone) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	s := Default()
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzFile: no file panics, and what is wrong is said with the file's name.
func FuzzFile(f *testing.F) {
	f.Add([]byte(fullFile))
	f.Add([]byte("a: &x [*x]\n<<: *x\n"))
	f.Add([]byte("microkernel: &m {args: !!binary aGk=}\nbmc: *m\n? [a]\n: b\n"))
	f.Add([]byte("---\n...\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := Default()
		s.Origin = map[string]string{}
		if err := parseFile(&s, "racker.yaml", data); err != nil && !strings.HasPrefix(err.Error(), "racker.yaml:") {
			t.Errorf("error without the file's name: %v", err)
		}
	})
}
