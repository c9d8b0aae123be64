package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/sim"
)

// canary is in each node's config, as a password of the site's own could be.
const canary = "canary-7f3d9c51e2b84a06"

// stranger is a machine on the internal network that is no node.
type stranger struct {
	t    testing.TB
	ns   *sim.Namespace
	cert tls.Certificate
}

const (
	strangerMAC  = "52:54:00:66:66:66"
	strangerAddr = "172.24.213.200"
	plainAt      = "172.24.213.1:8080"
	secureAt     = "172.24.213.1:8443"
)

func (s *site) stranger() *stranger {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	return &stranger{t: s.t, ns: s.Stranger(strangerMAC, strangerAddr+"/24"), cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

func (x *stranger) dial(ctx context.Context, _, to string) (c net.Conn, err error) {
	e := x.ns.Do(func() error {
		c, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp4", to)
		return err
	})
	return c, e
}

// client speaks HTTP; with a certificate as an agent does.
func (x *stranger) client(certificate bool) *http.Client {
	cfg := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a thief trusts everybody
	if certificate {
		cfg.Certificates = []tls.Certificate{x.cert}
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: x.dial, TLSClientConfig: cfg, DisableKeepAlives: true}}
}

// ask gives the status and everything that was answered.
func (x *stranger) ask(c *http.Client, method, url, body string, header ...string) (int, []byte) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		x.t.Error(err)
		return 0, nil
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, b
}

// declare sends a config for each server, with a secret in it, and gives the configs' digests by MAC.
func (s *site) declare(c *api.Client) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	nodes, err := c.Nodes(s.t.Context(), false)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Management {
			continue
		}
		v, err := c.PutConfig(s.t.Context(), n.Name, api.NodeConfig{HostName: n.Name, Butane: []api.ButaneSource{{Name: "cl/" + n.Name + "-custom.yaml", Butane: `variant: flatcar
version: 1.0.0
storage:
  files:
    - path: /etc/site-password
      mode: 0600
      contents:
        inline: ` + canary + "\n"}}})
		if err != nil {
			s.t.Fatal(err)
		}
		out[n.PrimaryMAC] = v.WantedDigest
	}
	return out
}

// secrets gives what of the daemon's state nobody on the network may have, and for each server the job that installed it.
func (s *site) secrets() (jobs map[string]string, out []secret) {
	s.t.Helper()
	jobs = map[string]string{}
	out = []secret{{"a snippet's content", canary}}
	type key struct {
		PEM string `json:"pem"`
	}
	for line := range strings.Lines(s.must(time.Minute, "state", "export")) {
		var e struct {
			Key   string `json:"key"`
			Value []byte `json:"value"`
		}
		var v struct {
			key
			Current key    `json:"current"`
			MAC     string `json:"mac"`
			Install struct {
				Job      string `json:"job"`
				Callback string `json:"callback"`
			} `json:"install"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(e.Key, "node/") && !strings.HasPrefix(e.Key, "secret/host-key/") && e.Key != "secret/rack-key" {
			continue
		}
		if err := json.Unmarshal(e.Value, &v); err != nil {
			s.t.Fatalf("%s: %v", e.Key, err)
		}
		for _, text := range []string{v.PEM, v.Current.PEM} {
			if lines := strings.Split(text, "\n"); len(lines) > 4 {
				out = append(out, secret{e.Key, lines[3][4:40]}) // the first lines are the same in all keys
			}
		}
		if v.Install.Job != "" {
			jobs[v.MAC] = v.Install.Job
			out = append(out, secret{"callback token of " + v.MAC, v.Install.Callback})
		}
	}
	if want := 2 + 2*len(jobs); len(jobs) == 0 || len(out) != want {
		s.t.Fatalf("%d jobs and %d secrets are in the state, want %d", len(jobs), len(out), want)
	}
	return jobs, out
}

// TestNoSecretInClear bootstraps a rack while one machine writes everything down and another asks for what it can get.
func TestNoSecretInClear(t *testing.T) {
	s, image := newFleet(t, 3, "scale: 0.05\n")
	s.must(time.Minute, "image", "add", image, "--name", "os")
	c := api.NewClient(s.Folder.Socket())
	digests := s.declare(c)
	x := s.stranger()
	file, stop := s.capture()
	ended := x.pester(digests)
	run, err := c.SubmitRun(t.Context(), api.RunRequest{Provision: "image", Image: "os", OnFailure: api.OnFailureCancel, Configs: digests, Erase: api.EraseExact})
	if err != nil {
		t.Fatal(err)
	}
	s.must(2*time.Minute, "run", "wait", run.ID)
	asked, got := ended()
	stop()
	jobs, secrets := s.secrets()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if found := leaks(raw, secrets); len(found) > 0 {
		t.Errorf("in clear on the network: %q", found)
	}
	if asked < 10 || bytes.Contains(got, []byte(api.ArgToken+"=")) || len(leaks(got, secrets)) > 0 {
		t.Errorf("a stranger asked %d times before the nodes, and got: %.2000s", asked, got)
	}
	tokens := tokensOf(raw)
	if len(tokens) != 3 {
		t.Fatalf("%d boot tokens are in the capture, want 3: it is not whole", len(tokens))
	}
	s.counts(func(n sim.NodeStatus) string {
		if n.State != sim.StateReady || n.Installs != 1 || n.Fleet.Callbacks != 1 {
			return "not ready"
		}
		return ""
	})
	if out := s.must(time.Minute, "status"); !strings.Contains(out, "Warning: alarm at ") || !strings.Contains(out, "its boot token was asked for from "+strangerAddr) {
		t.Errorf("status does not warn:\n%s", out)
	}
	x.time()
	x.replay(flows(t, raw), secrets)
	x.present(s, tokens, jobs, secrets)
	s.counts(func(n sim.NodeStatus) string {
		if n.State != sim.StateReady || n.Installs != 1 {
			return "not what it was"
		}
		return ""
	})
	if out := s.must(time.Minute, "audit", "--json"); strings.Count(out, "gave Ignition config to node-") != 3 {
		t.Errorf("the audit does not say to whom configs were given:\n%s", out)
	}
}

// pester asks for every server's boot script, and for configs, from before the servers are on, until the returned function is called.
func (x *stranger) pester(nodes map[string]string) (end func() (asked int, got []byte)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var asked int
	var got []byte
	go func() {
		defer close(done)
		c := x.client(true)
		for ctx.Err() == nil {
			for mac := range nodes {
				for _, url := range []string{
					"http://" + plainAt + "/ipxe?platform=efi&mac=" + mac, "http://" + plainAt + "/ignition?mac=" + mac,
					"https://" + secureAt + api.AgentJobsPath + "job-1/blobs/" + api.BlobIgnition,
				} {
					code, b := x.ask(c, http.MethodGet, url, "")
					if code == http.StatusOK {
						got = append(got, b...)
					}
					asked++
				}
			}
		}
	}()
	return func() (int, []byte) {
		cancel()
		<-done
		return asked, got
	}
}

var tokenWord = regexp.MustCompile(api.ArgMAC + `=(\S+) ` + api.ArgToken + `=(\S+)`)

// tokensOf gives the boot tokens that were given in clear, by MAC.
func tokensOf(raw []byte) map[string]string {
	out := map[string]string{}
	for _, found := range tokenWord.FindAllSubmatch(raw, -1) {
		out[string(found[1])] = string(found[2])
	}
	return out
}

// replay sends what each node sent once more, byte by byte, from another address, to both ports.
func (x *stranger) replay(all map[flow][]byte, secrets []secret) {
	x.t.Helper()
	sent := map[string]bool{}
	plain := 0
	for f, data := range all {
		if port := f.to.Port(); port != 8080 && port != 8443 || len(data) == 0 || f.from.Addr().String() == strangerAddr || sent[string(data)] {
			continue
		}
		sent[string(data)] = true
		if f.to.Port() == 8080 {
			plain++
		}
		c, err := x.dial(context.Background(), "tcp", f.to.String())
		if err != nil {
			x.t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = c.Write(data) // the server may hang up
		got, _ := io.ReadAll(io.LimitReader(bufio.NewReader(c), 1<<20))
		_ = c.Close()
		if found := leaks(got, secrets); len(found) > 0 || bytes.Contains(got, []byte(api.ArgToken+"=")) {
			x.t.Errorf("%.120q was answered with %q: %.300q", data, found, got)
		}
		if f.to.Port() == 8443 && bytes.Contains(got, []byte("HTTP/1.1 200")) {
			x.t.Errorf("a TLS stream could be replayed: %.300q", got)
		}
	}
	if plain < 3 || len(sent) < 9 {
		x.t.Errorf("%d streams were replayed, %d of them plain: the capture is not whole", len(sent), plain)
	}
}

// present asks the agent API for everything, as somebody who knows tokens, job IDs and paths.
func (x *stranger) present(s *site, tokens, jobs map[string]string, secrets []secret) {
	x.t.Helper()
	for mac, token := range tokens {
		in, err := json.Marshal(api.CheckIn{Token: token, Identity: api.Identity{BootMAC: mac, Firmware: "uefi"}})
		if err != nil {
			x.t.Fatal(err)
		}
		job := api.AgentJobsPath + jobs[mac]
		for _, certificate := range []bool{true, false} {
			c := x.client(certificate)
			for _, r := range [][3]string{
				{http.MethodPost, api.AgentCheckInPath, string(in)},
				{http.MethodGet, job + "/blobs/" + api.BlobIgnition, ""},
				{http.MethodGet, job + "/blobs/" + api.BlobManifest, ""},
				{http.MethodPost, job + "/steps/3", `{"state":"done"}`},
				{http.MethodPost, api.AgentLogPath, "a line"},
				{http.MethodPost, api.CallbackPath + "node-1/" + api.SignalReady, `{"host_name":"node-1"}`},
			} {
				code, got := x.ask(c, r[0], "https://"+secureAt+r[1], r[2], api.CallbackTokenHeader, token)
				if code/100 != 4 || len(leaks(got, secrets)) > 0 {
					x.t.Errorf("%s %s (certificate: %v): %d %.300s", r[0], r[1], certificate, code, got)
				}
			}
		}
	}
	out := s.must(time.Minute, "events")
	for _, want := range []string{"another machine presented its boot token", "its Ignition config was asked for without its agent's session"} {
		if !strings.Contains(out, want) {
			x.t.Errorf("no event says %q:\n%s", want, out)
		}
	}
}

// time asks the daemon for the time, as nodes do.
func (x *stranger) time() {
	x.t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(x.t.Context(), "ntpdig", "-j", "-t", "5", "172.24.213.1")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := x.ns.Do(cmd.Start); err != nil {
		x.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), `"host":"172.24.213.1"`) {
		x.t.Errorf("the time: %v: %s", err, &out)
	}
}

// noAlarms finds whether servers that only have their faults are taken for thieves.
func (s *site) noAlarms() {
	s.t.Helper()
	if out := s.must(time.Minute, "status"); strings.Contains(out, "alarm at ") {
		s.t.Errorf("an alarm without a thief:\n%s", out)
	}
}

// TestThiefStopsTheJob reads a server's boot token off the network while the server is being written, and presents it.
func TestThiefStopsTheJob(t *testing.T) {
	s, image := newFleet(t, 2, "scale: 0.05\nfleet: {speed: 2M}\nnodes:\n  node-1: {faults: [write-slow]}\n")
	s.must(time.Minute, "image", "add", image, "--name", "os")
	x := s.stranger()
	file, stop := s.capture()
	run := s.detached("--image", "os", "--onfailure", "cancel", "--no-canary")
	s.Wait(time.Minute, "node-1 to be written", func(st *sim.Status) bool { return st.Find("node-1").State == sim.StateWriting })
	stop()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mac := s.show("node-1").PrimaryMAC
	token := tokensOf(raw)[mac]
	if token == "" {
		t.Fatalf("no token of %s in the capture", mac)
	}
	in := fmt.Sprintf(`{"token":%q,"identity":{"boot_mac":%q,"firmware":"bios"}}`, token, mac)
	if code, got := x.ask(x.client(true), http.MethodPost, "https://"+secureAt+api.AgentCheckInPath, in); code != http.StatusUnauthorized && code != http.StatusForbidden {
		t.Errorf("the thief got %d %s", code, got)
	}
	code, out := s.racker(time.Minute, "run", "wait", run)
	if code == 0 {
		t.Errorf("the run is a success:\n%s", out)
	}
	v := s.show("node-1")
	if v.State != "failed" || !strings.Contains(v.Reason, "another machine presented its boot token") || !strings.Contains(v.Diagnosis, "somebody listens on the internal network") {
		t.Errorf("node-1 is %s (%s), diagnosis %q", v.State, v.Reason, v.Diagnosis)
	}
	if out := s.must(time.Minute, "status"); !strings.Contains(out, "Warning: alarm at ") || !strings.Contains(out, "another machine presented its boot token (from "+strangerAddr+")") {
		t.Errorf("status does not warn:\n%s", out)
	}
	if n := s.Node("node-1"); n.Fleet.Callbacks != 0 {
		t.Errorf("the job went on: %+v", n)
	}
}
