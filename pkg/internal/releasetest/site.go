package releasetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Site is a web server with files, a real nginx.
type Site struct {
	t    testing.TB
	dir  string
	addr string
	// In runs a function where the server is to be; nil means right here.
	In func(func() error) error
	// Settings are further lines of its configuration's server block.
	Settings string
	// Proxy makes it a forward proxy too, at port 3128.
	Proxy bool

	cmd *exec.Cmd
}

// NewSite makes a site at that address, such as 10.9.0.2:80, which serves nothing yet.
func NewSite(t testing.TB, addr string) *Site {
	t.Helper()
	s := &Site{t: t, dir: t.TempDir(), addr: addr}
	for _, dir := range []string{"root", "tmp"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Stop)
	return s
}

// URL gives the address of a path.
func (s *Site) URL(path string) string { return "http://" + s.addr + "/" + path }

// Put writes a file.
func (s *Site) Put(path string, data []byte) {
	s.t.Helper()
	name := filepath.Join(s.dir, "root", path)
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, data, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Remove deletes a file.
func (s *Site) Remove(path string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, "root", path)); err != nil {
		s.t.Fatal(err)
	}
}

// Release puts a release into Flatcar's layout, as the version and as the channel's current one, with signatures by a sub-key.
func (s *Site) Release(k *Key, sub int, at time.Time, channel, version, arch string, image []byte) {
	s.t.Helper()
	text := []byte("FLATCAR_BUILD=" + strings.Split(version, ".")[0] + "\nFLATCAR_VERSION=" + version + "\nFLATCAR_VERSION_ID=" + version + "\n")
	for _, dir := range []string{version, "current"} {
		base := channel + "/" + arch + "-usr/" + dir + "/"
		s.Put(base+"version.txt", text)
		s.Put(base+"version.txt.sig", k.Sign(sub, at, text))
		s.Put(base+"flatcar_production_image.bin.bz2", image)
		s.Put(base+"flatcar_production_image.bin.bz2.sig", k.Sign(sub, at, image))
	}
}

// Start starts the server and returns once it answers.
func (s *Site) Start() {
	s.t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	proxy := ""
	if s.Proxy {
		host, _, err := net.SplitHostPort(s.addr)
		if err != nil {
			s.t.Fatal(err)
		}
		proxy = fmt.Sprintf("server { listen %s:3128; access_log %s/proxy.log; location / { proxy_pass http://$http_host$request_uri; } }", host, s.dir)
	}
	conf := fmt.Sprintf(`%s
daemon off; master_process off; pid %[2]s/pid; error_log %[2]s/error.log;
events { worker_connections 64; }
http {
  client_body_temp_path %[2]s/tmp; proxy_temp_path %[2]s/tmp; fastcgi_temp_path %[2]s/tmp; uwsgi_temp_path %[2]s/tmp; scgi_temp_path %[2]s/tmp;
  log_format short '$request_method $uri $status "$http_range"';
  access_log %[2]s/access.log short;
  server { listen %[3]s; root %[2]s/root; %[4]s }
  %[5]s
}
`, user, s.dir, s.addr, s.Settings, proxy)
	name := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		s.t.Fatal(err)
	}
	in := s.In
	if in == nil {
		in = func(f func() error) error { return f() }
	}
	cmd := exec.Command("nginx", "-c", name, "-e", filepath.Join(s.dir, "error.log"))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := in(cmd.Start); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = cmd
	s.await(&said)
}

// await returns when the server takes connections.
func (s *Site) await(said *bytes.Buffer) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
		if err == nil {
			_ = c.Close() // it was only a try
			return
		}
		if ctx.Err() != nil {
			s.t.Fatalf("nginx does not answer at %s: %v\n%s", s.addr, err, said)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Stop kills the server: what it is sending ends right there.
func (s *Site) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // by the kill
	s.cmd = nil
}

// Log gives a line per request: method, path, status and range.
func (s *Site) Log() []string {
	s.t.Helper()
	return s.lines("access.log")
}

// ProxyLog gives a line per request to the proxy.
func (s *Site) ProxyLog() []string {
	s.t.Helper()
	return s.lines("proxy.log")
}

func (s *Site) lines(name string) []string {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}
