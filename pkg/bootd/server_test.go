package bootd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// decider is the deciding side in these tests: it answers by rule and keeps what it was asked.
type decider struct {
	mu     sync.Mutex
	script func(BootQuery) (string, error)
	asked  []BootQuery
	peers  []Peer
	tokens []string
	served chan Served
	report error
}

func (d *decider) BootScript(_ context.Context, q BootQuery) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, q)
	return d.script(q)
}

func (d *decider) CheckIn(_ context.Context, p Peer, in api.CheckIn) (api.Assignment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peers = append(d.peers, p)
	if in.Token != "good" {
		return api.Assignment{}, fmt.Errorf("test: %w", ErrSession)
	}
	return api.Assignment{Node: "node-1"}, nil
}

func (d *decider) Report(context.Context, Peer, string, int, api.StepReport) (api.StepReply, error) {
	return api.StepReply{Stop: true}, d.report
}

func (d *decider) Blob(_ context.Context, _ Peer, job, name string) ([]byte, error) {
	return []byte(job + "/" + name), nil
}

func (d *decider) Log(context.Context, Peer, []byte) error { return nil }

func (d *decider) Callback(_ context.Context, _ netip.Addr, node, signal, token string, body api.Callback) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens = append(d.tokens, node+" "+signal+" "+token+" "+body.HostName)
	return nil
}

func (d *decider) Asset(_ context.Context, s Served) { d.served <- s }

// running is a server on free ports of the loopback.
type running struct {
	*decider
	plain, secure string
	ca            *Authority
}

func start(t *testing.T) *running {
	t.Helper()
	ca, err := NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr("127.0.0.1")
	leaf, err := ca.Leaf(addr, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"assets/id/data.zst": "0123456789", "secret": "secret"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../secret", filepath.Join(dir, "assets/id/link")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "assets"))
	if err != nil {
		t.Fatal(err)
	}
	d := &decider{served: make(chan Served, 16)}
	s, err := New(Config{
		Addr: addr, Certificate: leaf, Assets: map[string]fs.FS{AreaImages: root.FS()}, Drain: 5 * time.Second,
		GRUB: func(esp string) ([]byte, error) {
			if esp != "guid" {
				return nil, fmt.Errorf("no GUID: %q", esp)
			}
			return []byte("grub for " + esp), nil
		},
	}, Handlers{Boots: d, Agents: d, Callbacks: d, Observer: d}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	p, q := s.Ports()
	return &running{decider: d, plain: fmt.Sprintf("http://127.0.0.1:%d", p), secure: fmt.Sprintf("https://127.0.0.1:%d", q), ca: ca}
}

// rawGet sends a request line as it stands, so that no client cleans the path.
func rawGet(t *testing.T, base, path, headers string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", path, headers)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(b), "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	_, body, _ = strings.Cut(string(b), "\r\n\r\n")
	return status, body
}

func TestPlainPaths(t *testing.T) {
	r := start(t)
	r.script = func(q BootQuery) (string, error) {
		switch q.MAC.String() {
		case "52:54:00:00:00:01":
			return "#!ipxe\nexit\n", nil
		case "52:54:00:00:00:02":
			return "", fmt.Errorf("test: %w", ErrRefused)
		}
		return "", fmt.Errorf("test: %w", ErrUnknown)
	}
	for _, c := range []struct {
		path, headers string
		status        int
		body          string
	}{
		{"/ipxe?mac=52-54-00-00-00-01&platform=efi&arch=x86_64", "", 200, "#!ipxe\nexit\n"},
		{"/ipxe?mac=52-54-00-00-00-02", "", 403, "Forbidden\n"},
		{"/ipxe?mac=52-54-00-00-00-03", "", 404, "Not Found\n"},
		{"/ipxe", "", 400, ""},
		{"/assets/images/id/data.zst", "", 200, "0123456789"},
		{"/assets/images/id/data.zst", "Range: bytes=4-\r\n", 206, "456789"},
		{"/assets/images/id/data.zst", "Range: bytes=4-5\r\n", 206, "45"},
		{"/assets/images/id/data.zst", "Range: bytes=99-\r\n", 416, ""},
		{"/assets/images/id", "", 404, ""},
		{"/assets/images/", "", 404, ""},
		{"/assets/images/id/link", "", 404, ""},
		{"/assets/images/../secret", "", 0, ""},
		{"/assets/images/id/../../../secret", "", 0, ""},
		{"/assets/images/%2e%2e/secret", "", 0, ""},
		{"/assets/images/..%2fsecret", "", 0, ""},
		{"/assets/images/id%00", "", 0, ""},
		{"/assets/images//etc/passwd", "", 0, ""},
		{"/assets/none/x", "", 404, ""},
		{"/grub/guid/grubx64.efi", "", 200, "grub for guid"},
		{"/grub/other/grubx64.efi", "", 400, "no GUID: \"other\"\n"},
	} {
		status, body := rawGet(t, r.plain, c.path, c.headers)
		if c.status == 0 {
			if status == 200 || strings.Contains(body, "secret") && !strings.Contains(body, "href") {
				t.Errorf("%s: status %d, body %q: left its folder", c.path, status, body)
			}
			continue
		}
		if status != c.status || c.body != "" && body != c.body {
			t.Errorf("%s %s: status %d, body %q, want %d, %q", c.path, c.headers, status, body, c.status, c.body)
		}
	}
	if q := r.asked[0]; q.Platform != "efi" || q.Arch != "x86_64" || q.From.String() != "127.0.0.1" {
		t.Errorf("query was %+v", q)
	}
}

func TestHeadAsksForNoScript(t *testing.T) {
	r := start(t)
	r.script = func(BootQuery) (string, error) { return "#!ipxe\n", nil }
	resp, err := http.Head(r.plain + "/ipxe?mac=52-54-00-00-00-01")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || len(r.asked) != 0 {
		t.Errorf("status %d, asked %d times: a token was given away", resp.StatusCode, len(r.asked))
	}
}

func TestAssetIsObserved(t *testing.T) {
	r := start(t)
	if status, _ := rawGet(t, r.plain, "/assets/images/id/data.zst", "Range: bytes=4-\r\n"); status != 206 {
		t.Fatal(status)
	}
	if s := <-r.served; s.File != "images/id/data.zst" || s.Bytes != 6 || s.Size != 10 || s.Err != nil {
		t.Errorf("served: %+v", s)
	}
}

// client speaks TLS with the CA as its root; key is its session key, nil for none.
func (r *running) client(t *testing.T, key *tls.Certificate) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(r.ca.PEM()) {
		t.Fatal("the CA's PEM holds no certificate")
	}
	conf := &tls.Config{RootCAs: pool}
	if key != nil {
		conf.Certificates = []tls.Certificate{*key}
	}
	tr := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func sessionKey(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func post(t *testing.T, c *http.Client, url string, body any) (int, string) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := body.(string); ok {
		b = []byte(s)
	}
	resp, err := c.Post(url, "application/json", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

func TestAgentAPI(t *testing.T) {
	r := start(t)
	key := sessionKey(t)
	c := r.client(t, key)
	if code, _ := post(t, r.client(t, nil), r.secure+api.AgentCheckInPath, api.CheckIn{Token: "good"}); code != 401 {
		t.Errorf("check-in without a key: %d, want 401", code)
	}
	if code, body := post(t, c, r.secure+api.AgentCheckInPath, api.CheckIn{Token: "good"}); code != 200 || !strings.Contains(body, "node-1") {
		t.Errorf("check-in: %d %s", code, body)
	}
	leaf, err := x509.ParseCertificate(key.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(leaf.RawSubjectPublicKeyInfo); r.peers[0].Key != want {
		t.Errorf("the session's key is %x, want the digest of the public key %x", r.peers[0].Key, want)
	}
	for _, bad := range []struct {
		path string
		body any
		code int
	}{
		{api.AgentCheckInPath, api.CheckIn{Token: "old"}, 401},
		{api.AgentCheckInPath, "{", 400},
		{api.AgentCheckInPath, `{"token":"` + strings.Repeat("x", maxJSON) + `"}`, 413},
		{api.AgentJobsPath + "j/steps/x", api.StepReport{}, 400},
		{api.AgentJobsPath + "j/steps/-1", api.StepReport{}, 400},
		{api.AgentJobsPath + "j/steps/1", api.StepReport{}, 200},
		{api.AgentLogPath, "line\n", 204},
		{api.AgentLogPath, strings.Repeat("x", maxLog+1), 413},
	} {
		if code, body := post(t, c, r.secure+bad.path, bad.body); code != bad.code {
			t.Errorf("%s: %d %.80s, want %d", bad.path, code, body, bad.code)
		}
	}
}

func TestCallback(t *testing.T) {
	r := start(t)
	req, err := http.NewRequest(http.MethodPost, r.secure+api.CallbackPath+"node-1/ready", strings.NewReader(`{"host_name":"n1"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.CallbackTokenHeader, "tok")
	resp, err := r.client(t, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 204 || len(r.tokens) != 1 || r.tokens[0] != "node-1 ready tok n1" {
		t.Errorf("status %d, heard %q", resp.StatusCode, r.tokens)
	}
}

func TestAuthorityIsKept(t *testing.T) {
	a, err := NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAuthority(b)
	if err != nil {
		t.Fatal(err)
	}
	if again.Pin() != a.Pin() || len(a.Pin()) != 64 {
		t.Errorf("pin %q, was %q", again.Pin(), a.Pin())
	}
	if _, err := ParseAuthority(b[:len(b)/2]); err == nil {
		t.Error("half a CA was taken")
	}
}
