package cluster

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseMistakes: each is named with its line and column.
func TestParseMistakes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"not YAML":          {"a: [", "cluster.yaml:1:1: "},
		"tab":               {"image:\n\tname: x\n", "cluster.yaml:2:1: found character that cannot start any token"},
		"two documents":     {"image: a\n---\nimage: b\n", "more than one YAML document"},
		"a list":            {"- a\n", "cluster.yaml:1:1: want names with values below them"},
		"unknown key":       {"image: a\nsshkeys: []\n", "cluster.yaml:2:1: sshkeys: there is no such key; did you mean ssh_keys?"},
		"hyphen":            {"kernel-args: []\n", "did you mean kernel_args?"},
		"nothing like it":   {"zzzzzz: 1\n", "cluster.yaml:1:1: zzzzzz: there is no such key"},
		"unknown below":     {"nodes:\n  a:\n    nework: dhcp\n", "cluster.yaml:3:5: nodes.a.nework: there is no such key; did you mean network?"},
		"unknown in types":  {"types:\n  a:\n    mac: x\n", "cluster.yaml:3:5: types.a.mac: there is no such key"},
		"twice":             {"image: a\nimage: b\n", "cluster.yaml:2:1: image: is set twice, first on line 1"},
		"node twice":        {"nodes:\n  a: {}\n  A: {}\n", "cluster.yaml:3:3: nodes.A: is there twice, first on line 2"},
		"merge":             {"x: &x {a: b}\n<<: *x\n", "merges (<<) are not read"},
		"host name":         {"nodes:\n  a_b: {}\n", "cluster.yaml:2:3: nodes.a_b: is no host name"},
		"MAC":               {"nodes:\n  a: {mac: 1}\n", "cluster.yaml:2:12: nodes.a.mac: \"1\" is no MAC address"},
		"key":               {"ssh_keys: [me]\n", "cluster.yaml:1:12: ssh_keys[0]: is not a public SSH key"},
		"key file":          {"ssh_keys: [{files: a}]\n", "did you mean file?"},
		"wipe":              {"wipe: al\n", "cluster.yaml:1:7: wipe: \"al\": want install-disk, all or none; did you mean all?"},
		"boolean":           {"autologin: maybe\n", "want true or false"},
		"updates":           {"updates: sometimes\n", "want off, no-reboot or reboot"},
		"channel":           {"image: {channel: edge}\n", "want stable, beta, alpha or lts"},
		"console":           {"console: ttyS0 init=/bin/sh\n", "want one word"},
		"kernel argument":   {"kernel_args: [a, 'b\"']\n", "cluster.yaml:1:18: kernel_args[1]"},
		"sysctl":            {"sysctls: {ip_forward: 1}\n", "is no name of a sysctl"},
		"hosts":             {"hosts: {a_b: 10.0.0.1, c: x}\n", "hosts.c: \"x\" is no IP address"},
		"disk name":         {"disk: /dev/sda\n", "other names below /dev change with every boot"},
		"disk size":         {"disk: {size: {min: much}}\n", "want a size such as"},
		"disk sizes":        {"disk: {size: {min: 2T, max: 1T}}\n", "min is more than max"},
		"VLAN id":           {"network: {vlans: {v: {id: 4095, on: primary}}}\n", "want a number from 1 to 4094"},
		"VLAN id zero":      {"network: {vlans: {v: {id: 0, on: primary}}}\n", "want a number from 1 to 4094"},
		"MTU":               {"network: {mtu: 100}\n", "want a number from 576 to 9216"},
		"no length":         {"network: {addresses: 203.0.113.5}\n", "its prefix length is missing, such as 203.0.113.5/24"},
		"interface name":    {"network: {bonds: {Bond0123456789abc: {}}}\n", "has at most 15 of"},
		"loopback's name":   {"network: {bonds: {lo: {}}}\n", "is not lo"},
		"NIC":               {"network: {nics: {eth0: {}}}\n", "want primary, secondary or a MAC address"},
		"route":             {"network: {routes: [{to: 10.0.0.0/8}]}\n", "a route wants to: NETWORK/LENGTH and via: ADDRESS"},
		"route's bits":      {"network: {routes: [{to: 10.0.0.1/8, via: 10.0.0.2}]}\n", "the network is 10.0.0.0/8"},
		"dhcp":              {"network: {dhcp: maybe}\n", "want true, false, ipv4 or ipv6"},
		"network":           {"network: static\n", "want dhcp or none"},
		"ntp":               {"network: {ntp: ['a b']}\n", "neither a host name nor an address"},
		"list for a scalar": {"console: [a, b]\n", "cluster.yaml:1:10: console: want one value"},
		"control character": {"health: \"a\\nb\"\n", "want one line without control characters"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("cluster.yaml", []byte(tt.text))
			var bad *Error
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseNamesAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("c", []byte("wipe: x\nnodes:\n  a: {autologin: 7}\nimage: {naem: y}\n"))
	var bad *Error
	if !errors.As(err, &bad) || len(bad.Problems) != 3 {
		t.Fatalf("error %v, want three", err)
	}
	for i, line := range []int{1, 3, 4} {
		if bad.Problems[i].Line != line {
			t.Errorf("problem %d on line %d, want %d", i, bad.Problems[i].Line, line)
		}
	}
}

func TestParseNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "nodes:\n", "types: {}\nssh_keys:\nnetwork: {}\n"} {
		specs, _ := resolve(t, text)
		if len(specs) != 3 || specs[0].Name != "node-1" || specs[0].Updates != UpdatesOff || specs[0].Wipe != WipeInstallDisk {
			t.Errorf("%q: %+v", text, specs)
		}
	}
}

func TestAliasesAreRead(t *testing.T) {
	t.Parallel()
	specs, _ := resolve(t, "sysctls: &s {vm.swappiness: 1}\nnodes:\n  node-1: {sysctls: *s}\n")
	if d := cmp.Diff([]Sysctl{{"vm.swappiness", "1"}}, specs[0].Sysctls); d != "" {
		t.Error(d)
	}
	// One that holds itself ends where the file's form does.
	if text := wrong(t, "nodes: &n\n  node-1: *n\n"); !strings.Contains(text, "node-1") {
		t.Errorf("got %q", text)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "500G": 500e9, "500GB": 500e9, "500 GB": 500e9, "1.5T": 1.5e12, "465GiB": 465 << 30, "1kib": 1024, "7B": 7, "2p": 2e15,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "-1", "1X", "1GG", "1Gi b", "NaN", "inf", "1e30", "9999999999T", "1 2"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
}

func TestLoadFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"~/me.pub": "# mine\n" + testKey + "\n\n", "~/key": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "empty": "# nothing\n", "broken": "x\n",
		"common.yaml": "variant: flatcar\n",
	}
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, errors.New(name + ": no such file")
	}
	f, err := Parse("c", []byte("ssh_keys: [{file: ~/me.pub}]\nsnippets: common.yaml\nnodes:\n  node-1: {ssh_keys: [{file: ~/me.pub}, "+testKey+"2]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.LoadFiles(read); err != nil {
		t.Fatal(err)
	}
	specs, _, err := f.Resolve(testSite())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{testKey, testKey + "2"}, specs[0].SSHKeys); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	f, err = Parse("c", []byte("ssh_keys:\n  - file: ~/key\n  - file: empty\n  - file: broken\n  - file: absent\nsnippets: [/etc/passwd, ../x, gone.yaml]\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = f.LoadFiles(read)
	for _, want := range []string{
		"c:2:11: ssh_keys[0].file: ~/key is a private key; the public one is ~/key.pub", "c:3:11: ssh_keys[1].file: there is no key in empty",
		"c:4:11: ssh_keys[2].file: broken line 1 is not a public SSH key", "c:5:11: ssh_keys[3].file: absent: no such file",
		"c:6:12: snippets[0]: \"/etc/passwd\": snippets are inside of the folder", "snippets[1]", "gone.yaml: no such file",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "nodes: {a: {mac: 52:54:00:00:00:01}}", "a: &a [*a]", "network: {bonds: {b: {members: [primary]}}}", "<<: x", "? [a]\n: b",
		"disk: {size: {min: 1e9}}", "nodes:\n- a", "!!binary x: y", "image: !!map {name: x}", "x: *y", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("c", []byte(text))
		var bad *Error
		if err != nil && (!errors.As(err, &bad) || len(bad.Problems) == 0) {
			t.Fatalf("%q: error %v", text, err)
		}
		if err != nil {
			return
		}
		if _, _, err := file.Resolve(testSite()); err != nil && !errors.As(err, &bad) {
			t.Fatalf("%q: error %v", text, err)
		}
	})
}
