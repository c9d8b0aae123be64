package ignite

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/racker-project/racker/bootstrap"
	"github.com/racker-project/racker/pkg/api"
)

const testToken = "t0ken_of-node.1"

// callbackServer is racker's end of a callback, with a certificate for 127.0.0.1. It answers with statuses in order, the last one
// for ever.
type callbackServer struct {
	*httptest.Server
	ca       []byte
	statuses []int
	calls    atomic.Int32
	bodies   chan api.Callback
}

func newCallbackServer(t *testing.T, statuses ...int) *callbackServer {
	t.Helper()
	s := &callbackServer{statuses: statuses, bodies: make(chan api.Callback, 16)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "racker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(t, w, r) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *callbackServer) answer(t *testing.T, w http.ResponseWriter, r *http.Request) {
	call := int(s.calls.Add(1))
	if r.Method != http.MethodPost || r.URL.Path != "/callback/v1/node-1/ready" || r.Header.Get(api.CallbackTokenHeader) != testToken {
		t.Errorf("%s %s with token %q", r.Method, r.URL, r.Header.Get(api.CallbackTokenHeader))
	}
	// Curl runs at this moment: what it was called with is everybody's to read.
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(commands) == 0 {
		t.Errorf("no processes: %v", err)
	}
	for _, command := range commands {
		if line, err := os.ReadFile(command); err == nil && strings.Contains(string(line), testToken) {
			t.Errorf("the token is in an argument: %q", line)
		}
	}
	var body api.Callback
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		t.Errorf("body: %v", err)
	}
	s.bodies <- body
	w.WriteHeader(s.statuses[min(call, len(s.statuses))-1])
}

// runCallback runs the real script with its files in dir.
func runCallback(ctx context.Context, t *testing.T, dir, url string, ca []byte) (string, error) {
	t.Helper()
	script, err := fs.ReadFile(bootstrap.Butane, scriptName)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"callback": string(script), "callback-token": testToken + "\n", "callback-url": url + "/callback/v1/node-1/\n", "ca.pem": string(ca),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "callback"))
	// Its sleep ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = append(os.Environ(), "RACKER_DIR="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCallbackScript(t *testing.T) {
	t.Parallel()
	server := newCallbackServer(t, http.StatusServiceUnavailable, http.StatusNoContent)
	dir := t.TempDir()
	out, err := runCallback(t.Context(), t, dir, server.URL, server.ca)
	if err != nil || !strings.Contains(out, "racker: callback ready accepted") {
		t.Fatalf("%v\n%s", err, out)
	}
	if calls := server.calls.Load(); calls != 2 {
		t.Errorf("%d calls, want a second one after the first failed", calls)
	}
	if _, err := os.Stat(filepath.Join(dir, "callback-token")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the token is still there: %v", err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	body := <-server.bodies
	if body.HostName != host || body.OS == "" {
		t.Errorf("host name %q, system %q, want %q and some", body.HostName, body.OS, host)
	}
	keys, err := filepath.Glob("/etc/ssh/ssh_host_*_key.pub")
	if err != nil || len(body.HostKeys) != len(keys) {
		t.Errorf("host keys %q of files %q", body.HostKeys, keys)
	}
}

func TestCallbackScriptRefused(t *testing.T) {
	t.Parallel()
	server := newCallbackServer(t, http.StatusUnauthorized)
	dir := t.TempDir()
	out, err := runCallback(t.Context(), t, dir, server.URL, server.ca)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 77 || !strings.Contains(out, "refused: HTTP status 401") {
		t.Errorf("%v, want exit status 77\n%s", err, out)
	}
	if calls := server.calls.Load(); calls != 1 {
		t.Errorf("%d calls after a refusal", calls)
	}
}

// TestCallbackScriptChecksTheServer: a server with another CA's certificate never sees the token.
func TestCallbackScriptChecksTheServer(t *testing.T) {
	t.Parallel()
	server := newCallbackServer(t, http.StatusNoContent)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	out, err := runCallback(ctx, t, t.TempDir(), server.URL, testCA(t))
	if err == nil || ctx.Err() == nil || server.calls.Load() != 0 {
		t.Errorf("%v, %d calls\n%s", err, server.calls.Load(), out)
	}
}

// TestScriptStrings gives the script's JSON quoting what could break out of it.
func TestScriptStrings(t *testing.T) {
	t.Parallel()
	script, err := fs.ReadFile(bootstrap.Butane, scriptName)
	if err != nil {
		t.Fatal(err)
	}
	functions, _, found := strings.Cut(string(script), "\nhost_keys()")
	if !found {
		t.Fatal("the script has no host_keys")
	}
	for text, want := range map[string]string{
		"": "", `"},"x":{"`: `"},"x":{"`, `\`: `\`, `\"`: `\"`, `\u0041`: `\u0041`, "a\nb\tc": "a b c", "x\x01\x7fy": "xy", "%s $(id) `id`": "%s $(id) `id`",
		"-n": "-n", "\u00e9\U0001f600": "\u00e9\U0001f600",
	} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", functions+"\nstring \"$1\"", "sh", text).Output()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var got string
		if err := json.Unmarshal(out, &got); err != nil || got != want {
			t.Errorf("%q came out as %s: %v", text, out, err)
		}
	}
}
