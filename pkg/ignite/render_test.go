package ignite

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/ignition/v2/config/v3_3"
	"github.com/coreos/ignition/v2/config/v3_3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/vincent-petithory/dataurl"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
)

// testCA makes a certificate.
func testCA(t *testing.T) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true,
		BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func testNode(t *testing.T) Node {
	t.Helper()
	return Node{
		HostName:      "node-1",
		SSHKeys:       []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx operator: the \"first\" #1"},
		CallbackURL:   "https://172.24.213.1:8443/callback/v1/node-1/",
		CallbackToken: "t0ken_of-node.1",
		CAPEM:         testCA(t),
		InternalMAC:   "0C-42-A1-11-22-33",
	}
}

// render renders and parses with Ignition's own parser.
func render(t *testing.T, spec Spec) types.Config {
	t.Helper()
	raw, err := Render(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	config, found, err := v3_3.Parse(raw)
	if err != nil || len(found.Entries) > 0 {
		t.Fatalf("Ignition does not take it: %v\n%s", err, found.String())
	}
	return config
}

// contents gives the text of each file by path.
func contents(t *testing.T, config types.Config) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, file := range config.Storage.Files {
		decoded, err := dataurl.DecodeString(*file.Contents.Source)
		if err != nil {
			t.Fatalf("%s: %v", file.Path, err)
		}
		files[file.Path] = string(decoded.Data)
	}
	return files
}

func TestRender(t *testing.T) {
	t.Parallel()
	node := testNode(t)
	config := render(t, Spec{Node: node})
	files := contents(t, config)
	for path, want := range map[string]string{
		"/etc/hostname":              "node-1\n",
		"/etc/racker/callback-url":   node.CallbackURL + "\n",
		"/etc/racker/callback-token": node.CallbackToken + "\n",
	} {
		if files[path] != want {
			t.Errorf("%s holds %q, want %q", path, files[path], want)
		}
	}
	network := files["/etc/systemd/network/10-racker-internal.network"]
	for _, want := range []string{"MACAddress=0c:42:a1:11:22:33\n", "RequiredForOnline=no\n", "UseGateway=no\n"} {
		if !strings.Contains(network, want) {
			t.Errorf("%q is not in the internal network:\n%s", want, network)
		}
	}
	for _, file := range config.Storage.Files {
		if *file.Overwrite != true {
			t.Errorf("%s would fail when Ignition runs again", file.Path)
		}
		if secret := file.Path == "/etc/racker/callback-token"; secret != (*file.Mode == 0o600) {
			t.Errorf("%s has mode %o", file.Path, *file.Mode)
		}
	}
	user := config.Passwd.Users[0]
	if user.Name != "core" || len(user.SSHAuthorizedKeys) != 1 || string(user.SSHAuthorizedKeys[0]) != node.SSHKeys[0] {
		t.Errorf("users: %+v", config.Passwd.Users)
	}
	unit := config.Systemd.Units[0]
	if unit.Name != "racker-callback.service" || !*unit.Enabled {
		t.Errorf("unit %s enabled %v", unit.Name, *unit.Enabled)
	}
}

func TestRenderVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"": "3.3.0", "3.3.0": "3.3.0", "3.4.0": "3.4.0"} {
		raw, err := Render(t.Context(), Spec{Node: testNode(t), Version: version})
		if err != nil || !bytes.Contains(raw, []byte(`"version":"`+want+`"`)) {
			t.Errorf("version %q: %v, want %s in %.80s", version, err, want, raw)
		}
	}
	if _, err := Render(t.Context(), Spec{Node: testNode(t), Version: "2.3.0"}); err == nil {
		t.Error("version 2.3.0 was taken")
	}
}

// TestDebianValidates asks the program of Debian's Ignition, which is the one that the test OS runs.
func TestDebianValidates(t *testing.T) {
	t.Parallel()
	raw, err := Render(t.Context(), Spec{Node: testNode(t)})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.ign")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ignition-validate", file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ignition-validate: %v\n%s", err, out)
	}
}

// TestInjection puts YAML, templates and shell into every free text: it must come out as the text that it is.
func TestInjection(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{
		`x" ]}, {name: root, ssh_authorized_keys: ["y`, `{{ .CallbackToken }}`, `x: &a [*a]`, "- name: root", "#", "'", `\`, `\n`, "%41",
		"\u2028 \u00e9 \U0001f600", "!!binary eA==", "| x", "null", "\t x\ty",
	} {
		node := testNode(t)
		node.SSHKeys = []string{"ssh-ed25519 AAAA " + evil, evil}
		config := render(t, Spec{Node: node})
		if len(config.Passwd.Users) != 1 {
			t.Fatalf("%q made users: %+v", evil, config.Passwd.Users)
		}
		var got []string
		for _, key := range config.Passwd.Users[0].SSHAuthorizedKeys {
			got = append(got, string(key))
		}
		if diff := cmp.Diff([]string{"ssh-ed25519 AAAA " + evil, strings.TrimSpace(evil)}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", evil, diff)
		}
	}
}

func FuzzScalar(f *testing.F) {
	for _, seed := range []string{"", "a: b", "\"", "\\", "\n", "\x00", "\u2028", "\u0085", "{{", "\xff", "- ", "\U0010ffff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var back struct{ Key string }
		if err := yaml.Unmarshal([]byte("key: "+scalar(text).String()+"\n"), &back); err != nil {
			t.Fatalf("%q as %s: %v", text, scalar(text), err)
		}
		// As json.Marshal and range do it: one replacement character per broken byte.
		if want := string([]rune(text)); back.Key != want {
			t.Errorf("%q came back as %q", text, back.Key)
		}
	})
}

func TestNodeValidate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	tests := []struct {
		name   string
		change func(*Node)
		want   string // "" is valid
	}{
		{"as it is", func(*Node) {}, ""},
		{"no keys", func(n *Node) { n.SSHKeys = nil }, ""},
		{"domain name", func(n *Node) { n.HostName = "node-1.rack.example" }, ""},
		{"IPv6", func(n *Node) { n.CallbackURL = "https://[fd00::1]:8443/callback/v1/node-1/" }, ""},
		{"no host name", func(n *Node) { n.HostName = "" }, "host name"},
		{"capitals", func(n *Node) { n.HostName = "Node" }, "host name"},
		{"long label", func(n *Node) { n.HostName = long }, "host name"},
		{"line in host name", func(n *Node) { n.HostName = "a\nb" }, "host name"},
		{"two lines in a key", func(n *Node) { n.SSHKeys = []string{"a\nb"} }, "SSH key 1"},
		{"blank key", func(n *Node) { n.SSHKeys = []string{"a", " "} }, "SSH key 2"},
		{"clear text", func(n *Node) { n.CallbackURL = "http://10.0.0.1/" }, "https"},
		{"no slash", func(n *Node) { n.CallbackURL = "https://10.0.0.1/x" }, "ends with /"},
		{"query", func(n *Node) { n.CallbackURL = "https://10.0.0.1/?x=/" }, "ends with /"},
		{"glob", func(n *Node) { n.CallbackURL = "https://10.0.0.1/{a,b}/" }, "braces"},
		{"no URL", func(n *Node) { n.CallbackURL = "https://%zz/" }, "callback URL"},
		{"no token", func(n *Node) { n.CallbackToken = "" }, "callback token"},
		{"quote in token", func(n *Node) { n.CallbackToken = `a"b` }, "callback token"},
		{"no CA", func(n *Node) { n.CAPEM = nil }, "no certificate"},
		{"a private key", func(n *Node) { n.CAPEM = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") }, "PRIVATE KEY"},
		{"broken certificate", func(n *Node) { n.CAPEM = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") }, "certificate 1"},
		{"no MAC", func(n *Node) { n.InternalMAC = "" }, "internal MAC"},
		{"EUI-64", func(n *Node) { n.InternalMAC = "00:00:00:00:fe:80:00:00" }, "internal MAC"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := testNode(t)
			tt.change(&node)
			_, err := Render(t.Context(), Spec{Node: node})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestValidateKeepsTheToken(t *testing.T) {
	t.Parallel()
	node := testNode(t)
	node.CallbackToken = "secret with blanks"
	if _, err := Render(t.Context(), Spec{Node: node}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestCustom(t *testing.T) {
	t.Parallel()
	const head = "variant: flatcar\nversion: 1.0.0\n"
	config := render(t, Spec{Node: testNode(t), Custom: []Source{
		{"one.yaml", []byte(head + "storage:\n  files:\n    - {path: /etc/motd, contents: {inline: one}}\n")},
		{"two.yaml", []byte(head + "storage:\n  files:\n    - {path: /etc/motd, contents: {inline: two}}\n")},
		{"three.yaml", []byte("variant: fcos\nversion: 1.1.0\nsystemd:\n  units:\n    - {name: racker-callback.service, enabled: false}\n")},
	}})
	if got := contents(t, config)["/etc/motd"]; got != "two" {
		t.Errorf("/etc/motd holds %q: the last one should win", got)
	}
	if unit := config.Systemd.Units[0]; *unit.Enabled || unit.Contents == nil {
		t.Errorf("the unit was not merged: %+v", unit)
	}
	for _, source := range []string{head + "storage:\n  files:\n    - {path: motd}\n", "variant: flatcar\nversion: 1.1.0\n"} {
		_, err := Render(t.Context(), Spec{Node: testNode(t), Custom: []Source{{"site.yaml", []byte(source)}}})
		var bad *ConfigError
		if !errors.As(err, &bad) || bad.Name != "site.yaml" {
			t.Errorf("error %v, want one about site.yaml", err)
		}
	}
}

func TestHostAndRackKeys(t *testing.T) {
	t.Parallel()
	node := testNode(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	node.HostKey, node.RackKey = pem.EncodeToMemory(block), "ssh-ed25519 AAAA racker\n"
	raw, err := Render(t.Context(), Spec{Node: node})
	if err != nil {
		t.Fatal(err)
	}
	files := contents(t, render(t, Spec{Node: node}))
	signer, err := ssh.ParsePrivateKey(node.HostKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/etc/ssh/ssh_host_ed25519_key": string(node.HostKey), "/etc/ssh/ssh_host_ed25519_key.pub": string(ssh.MarshalAuthorizedKey(signer.PublicKey())),
	} {
		if files[path] != want {
			t.Errorf("%s: %q, want %q", path, files[path], want)
		}
	}
	if !bytes.Contains(raw, []byte(`"ssh-ed25519 AAAA racker"`)) {
		t.Errorf("racker's key is not core's: %s", raw)
	}
	node.HostKey = []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n")
	node.RackKey = "two\nlines"
	if _, err := Render(t.Context(), Spec{Node: node}); err == nil || strings.Contains(err.Error(), "c2VjcmV0") ||
		!strings.Contains(err.Error(), "host key") || !strings.Contains(err.Error(), "racker's SSH key") {
		t.Errorf("broken keys: %v", err)
	}
}
