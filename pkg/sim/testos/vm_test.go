package testos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/ignite"
)

const (
	testMAC  = "52:54:00:12:34:56"
	testMAC2 = "52:54:00:12:34:57"
)

// TestVMTestOS takes one disk through its life: a first boot from BIOS with a node's config, a boot from UEFI, a second
// provisioning with ROOT wiped, and a config that fails.
func TestVMTestOS(t *testing.T) {
	if os.Getenv("RACKER_VM") != "1" {
		t.Skip("set RACKER_VM=1 for tests with virtual machines")
	}
	image := disk(filepath.Join(t.TempDir(), "disk.img"))
	if _, err := Build(t.Context(), Options{Out: string(image), Log: testLog{t}}); err != nil {
		t.Fatal(err)
	}
	run(t, "truncate", "--size=4G", string(image))
	callbacks, node := newNode(t)
	config, err := ignite.Render(t.Context(), ignite.Spec{Node: node})
	if err != nil {
		t.Fatal(err)
	}
	image.putConfig(t, config)

	start := time.Now()
	m := boot(t, bios, string(image))
	m.waitFor("node-1 login:", 3*time.Minute)
	t.Logf("BIOS to login, with Ignition: %s", time.Since(start).Round(time.Second))
	first := checkCallback(t, m, callbacks)
	m.powerOff(time.Minute)
	if files := run(t, "mdir", "-b", "-i", image.esp(t), "::/flatcar"); strings.Contains(files, "first_boot") {
		t.Errorf("the first boot did not end:\n%s", files)
	}

	start = time.Now()
	m = boot(t, uefi, string(image))
	m.waitFor("node-1 login:", 3*time.Minute)
	t.Logf("UEFI to login: %s", time.Since(start).Round(time.Second))
	m.powerOff(time.Minute)
	if n := len(callbacks); n > 0 {
		t.Errorf("%d callbacks of the second boot", n)
	}

	image.wipeRoot(t)
	image.armFirstBoot(t)
	m = boot(t, bios, string(image))
	second := checkCallback(t, m, callbacks)
	m.powerOff(time.Minute)
	if first.HostKeys[0] == second.HostKeys[0] {
		t.Errorf("the wiped system has the host key of the one before: %s", first.HostKeys[0])
	}

	image.armFirstBoot(t)
	image.putConfig(t, []byte(`{"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path": "relative"}]}}`))
	m = boot(t, bios, string(image))
	m.waitFor("testos: waiting for a reset", 2*time.Minute)
	if !strings.Contains(m.console.String(), "path not absolute") {
		t.Errorf("the console does not say why:\n%s", m.console)
	}
}

func (d disk) armFirstBoot(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "first_boot")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-o", "-i", d.esp(t), file, "::/flatcar/first_boot")
}

func checkCallback(t *testing.T, m *machine, callbacks <-chan api.Callback) api.Callback {
	t.Helper()
	m.waitFor("racker: callback ready accepted", 3*time.Minute)
	body := <-callbacks
	if body.HostName != "node-1" || !strings.Contains(body.OS, "Debian") {
		t.Errorf("host name %q, system %q", body.HostName, body.OS)
	}
	if keys := strings.Join(body.HostKeys, "\n"); len(body.HostKeys) != 2 || !strings.Contains(keys, "(ED25519)") {
		t.Fatalf("host keys %q", body.HostKeys)
	}
	for _, unit := range []string{"systemd-networkd.service", "ssh.service"} {
		if body.Units[unit] != "active" {
			t.Errorf("%s is %q", unit, body.Units[unit])
		}
	}
	for unit, state := range body.Units {
		if state == "failed" {
			t.Errorf("%s failed", unit)
		}
	}
	return body
}

// newNode starts the server that the node calls back, which QEMU shows to its guest as 10.0.2.2.
func newNode(t *testing.T) (<-chan api.Callback, ignite.Node) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "racker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(10, 0, 2, 2)},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	const token = "t0ken"
	bodies := make(chan api.Callback, 8)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body api.Callback
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get(api.CallbackTokenHeader) != token {
			t.Errorf("callback %s: %v", r.URL, err)
		}
		bodies <- body
		w.WriteHeader(http.StatusNoContent)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return bodies, ignite.Node{
		HostName:      "node-1",
		SSHKeys:       []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx operator"},
		CallbackURL:   "https://10.0.2.2:" + at.Port() + api.CallbackPath + "node-1/",
		CallbackToken: token,
		CAPEM:         pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		InternalMAC:   testMAC,
	}
}

// testLog passes lines to the test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
