package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/vmtest"
	"github.com/racker-project/racker/pkg/sim/testos"
)

// site is a simulated rack with racker's own programs on its management node.
type site struct {
	*vmtest.Running
	t     testing.TB
	root  string // of the repository
	serve *exec.Cmd
	log   string
	extra []string // environment
}

// repository finds the top of the source tree, where bin/ and payload/ are.
func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, need := range []string{"bin/racker", "bin/racker-agent", "payload/SHA256SUMS"} {
		if _, err := os.Stat(filepath.Join(root, need)); err != nil {
			t.Fatalf("%v: run make build payload first", err)
		}
	}
	return root
}

// rootOnly skips a test that makes network namespaces where that is not allowed.
func rootOnly(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
}

// newSite starts a rack with VMs that will be switched on; extra is added to racker's environment.
func newSite(t *testing.T, r vmtest.Rack, extra ...string) *site {
	t.Helper()
	return &site{Running: vmtest.Start(t, r), t: t, root: repository(t), extra: extra}
}

// quietSite starts a rack whose servers stay off: it costs a second.
func quietSite(t *testing.T, extra ...string) *site {
	t.Helper()
	rootOnly(t)
	return &site{Running: vmtest.StartAlways(t, vmtest.Rack{}), t: t, root: repository(t), extra: extra}
}

func (s *site) bin(name string) string { return filepath.Join(s.root, "bin", name) }

// command is a program of racker's with the site's settings.
func (s *site) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.bin("racker"), args...)
	cmd.Env = append(os.Environ(), "RACKER_PAYLOAD_DIR="+filepath.Join(s.root, "payload"), "RACKER_CONSOLE=ttyS0,115200n8")
	cmd.Env = append(cmd.Env, s.extra...)
	return cmd
}

// racker runs a command of racker's on the management node and gives its exit code and all output.
func (s *site) racker(limit time.Duration, args ...string) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	out, err := os.CreateTemp(string(s.Folder), "racker-")
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = out, out
	s.Start(cmd)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("racker %v: %v", args, err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// must is racker for a command that has to succeed.
func (s *site) must(limit time.Duration, args ...string) string {
	s.t.Helper()
	code, out := s.racker(limit, args...)
	if code != 0 {
		s.t.Fatalf("racker %v: exit code %d\n%s\nthe daemon's log ends:\n%s", args, code, out, s.tail(s.log))
	}
	return out
}

func (s *site) tail(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

// startServe starts the daemon and waits until it answers.
func (s *site) startServe() {
	s.t.Helper()
	log, err := os.CreateTemp(string(s.Folder), "serve-*.log")
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close() // the daemon has its own
	cmd := s.command(context.Background(), "serve")
	cmd.Stdout, cmd.Stderr = log, log
	s.Start(cmd)
	s.serve, s.log = cmd, log.Name()
	s.t.Cleanup(func() { s.stopServe() })
	s.WaitFile(20*time.Second, s.log, `"msg":"ready"`)
}

// stopServe ends the daemon in order and gives how long that took.
func (s *site) stopServe() time.Duration {
	s.t.Helper()
	if s.serve == nil {
		return 0
	}
	began := time.Now()
	if err := s.serve.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.serve.Wait(); err != nil {
		s.t.Errorf("racker serve: %v\n%s", err, s.tail(s.log))
	}
	s.serve = nil
	return time.Since(began)
}

// microkernel builds one from a kernel of the distribution, "cloud" or "generic".
func (s *site) microkernel(flavour string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), filepath.Join(s.root, "build/kernel.sh"), flavour).Output()
	if err != nil {
		s.t.Fatalf("kernel.sh %s: %v", flavour, err)
	}
	tree := strings.TrimSpace(string(out))
	kernels, err := filepath.Glob(filepath.Join(tree, "boot/vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		s.t.Fatalf("%s: %d kernels, %v", tree, len(kernels), err)
	}
	s.must(2*time.Minute, "microkernel", "build", "--kernel", kernels[0], "--modules", tree, "--agent", s.bin("racker-agent"))
}

// testOS gives the test OS's image, from the cache where it is there.
func (s *site) testOS() string {
	s.t.Helper()
	log, err := os.Create(filepath.Join(string(s.Folder), "testos.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	image, err := testos.Build(s.t.Context(), testos.Options{Log: log})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.tail(log.Name()))
	}
	return image
}

// show is racker node show --json.
func (s *site) show(node string) api.NodeView {
	s.t.Helper()
	var v api.NodeView
	s.json(&v, "node", "show", node)
	return v
}

func (s *site) json(into any, args ...string) {
	s.t.Helper()
	out := s.must(30*time.Second, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.t.Fatalf("racker %v: %v\n%s", args, err, out)
	}
}

// evidence reports whether a node's timeline has a fact with all of the words.
func evidence(v api.NodeView, words ...string) bool {
	for _, e := range v.Evidence {
		found := true
		for _, w := range words {
			found = found && strings.Contains(e.Text, w)
		}
		if found {
			return true
		}
	}
	return false
}

// timeline prints a node's facts, for a failure.
func timeline(v api.NodeView) string {
	var b strings.Builder
	for _, e := range v.Evidence {
		b.WriteString(e.Time.Format(time.TimeOnly) + " " + e.Text + "\n")
	}
	return b.String()
}

// noWrites checks that no server's disk was written, and none is on when off is set.
func (s *site) noWrites(off bool) {
	s.t.Helper()
	for _, n := range s.Status().Nodes {
		if n.Installs != 0 || off && n.Power != "off" {
			s.t.Errorf("%s: %d installs, power %s", n.Name, n.Installs, n.Power)
		}
	}
}
