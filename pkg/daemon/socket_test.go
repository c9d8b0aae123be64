package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "racker.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	a := newAPI(path, event.NewBus())
	stop := started(t, a)
	if err := newAPI(path, nil).Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "another racker") {
		t.Errorf("a second listener: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestSocketOfTheNextRackerStays(t *testing.T) {
	a := newAPI(filepath.Join(t.TempDir(), "racker.sock"), event.NewBus())
	stop := started(t, a)
	if err := os.Remove(a.Path); err != nil {
		t.Fatal(err)
	}
	next := newAPI(a.Path, nil)
	s, err := next.bind(t.Context(), a.Path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.Path); err != nil {
		t.Errorf("the next racker's socket: %v", err)
	}
}

func TestForeignFileStays(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newAPI(foreign, nil).Listen(t.Context()); err == nil {
		t.Error("a foreign file was taken for a socket")
	}
	if b, err := os.ReadFile(foreign); err != nil || !bytes.Equal(b, []byte("mine")) {
		t.Errorf("the foreign file: %q %v", b, err)
	}
}

func TestLongSocketPath(t *testing.T) {
	const most = 107 // sun_path without its closing zero, unix(7)
	dir, err := os.MkdirTemp("", "r")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, strings.Repeat("x", most-len(dir)-len("/")-len("-read")))
	a := newAPI(path, event.NewBus())
	started(t, a)
	for _, p := range []string{path, api.ReadSocket(path)} {
		if status, body := ask(t, dialling(t, p), "GET", "/v1/rack", ""); status != http.StatusOK {
			t.Errorf("%d bytes: %d %s", len(p), status, body)
		}
	}
}

func TestReadersOnlyLook(t *testing.T) {
	a, _ := serving(t, event.NewBus())
	c := dialling(t, api.ReadSocket(a.Path))
	if status, body := ask(t, c, "GET", "/v1/nodes", ""); status != http.StatusOK {
		t.Errorf("looking: %d %s", status, body)
	}
	refused := 0
	for _, rt := range a.routes(newMeter(a)) {
		if !rt.order() {
			continue
		}
		refused++
		status, body := ask(t, c, rt.method, strings.NewReplacer("{", "", "}", "").Replace(rt.path), "{}")
		if status != http.StatusForbidden || !strings.Contains(body, `"code":1`) || !strings.Contains(body, `"hint":"run it as root`) {
			t.Errorf("%s %s: %d %s", rt.method, rt.path, status, body)
		}
	}
	entries := a.Audit.(*book).entries
	if len(entries) != refused || slices.ContainsFunc(entries, func(e api.AuditEntry) bool { return e.Of != 0 || e.Result == api.AuditBegun }) {
		t.Errorf("%d refusals, audited: %+v", refused, entries)
	}
}

func TestSocketMode(t *testing.T) {
	a, _ := serving(t, event.NewBus())
	want := fs.FileMode(0o660)
	if os.Getegid() != 0 {
		want = 0o600 // no group racker is set, and this user's own may be anybody's
	}
	for _, p := range []string{a.Path, api.ReadSocket(a.Path)} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", p, info.Mode(), err, want)
		}
	}
}

// askVariable makes this test's binary a client; its value is the socket.
const askVariable = "RACKER_TEST_ASK"

// TestMain lets the binary be a client that runs as somebody else.
func TestMain(m *testing.M) {
	if socket := os.Getenv(askVariable); socket != "" {
		os.Exit(client(socket))
	}
	os.Exit(m.Run())
}

// client looks, then orders, and says what came of it.
func client(socket string) int {
	ctx, c := context.Background(), api.NewClient(socket)
	_, looked := c.Rack(ctx)
	_, ordered := c.Adopt(ctx, "n1")
	_, took := c.State(ctx, "")
	fmt.Fprintf(os.Stdout, "%v|%v|%v", looked, ordered, took)
	return 0
}

// Users of real groups, by real processes: whoever is in the first group may order, whoever is in the second may look.
func TestGroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it runs clients as other users")
	}
	const order, read, none = 1, 2, 65534 // the groups daemon and bin, which any Debian has, and nogroup
	dir, err := os.MkdirTemp("", "racker-groups")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := copied(t, filepath.Join(dir, "client"))
	a := newAPI(filepath.Join(dir, "racker.sock"), event.NewBus())
	a.Group, a.ReadGroup = "daemon", "bin"
	started(t, a)
	for _, test := range []struct {
		gid    uint32
		more   []uint32
		looked string
		given  string
		taken  string
	}{
		{order, nil, "<nil>", "<nil>", "only root"},
		{none, []uint32{order}, "<nil>", "<nil>", "only root"},
		{none, []uint32{read, order}, "<nil>", "<nil>", "only root"},
		{read, nil, "<nil>", "takes no orders", "only root"},
		{none, []uint32{read}, "<nil>", "takes no orders", "only root"},
		{none, nil, "not yours to use", "not yours to use", "not yours to use"},
	} {
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = []string{askVariable + "=" + a.Path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: test.gid, Groups: test.more}}
		out, err := cmd.CombinedOutput()
		said := strings.Split(string(out), "|")
		want := []string{test.looked, test.given, test.taken}
		if err != nil || !slices.EqualFunc(said, want, strings.Contains) {
			t.Errorf("groups %d %v: %v %q, want %q", test.gid, test.more, err, said, want)
		}
	}
	for _, e := range a.Audit.(*book).entries {
		if e.UID != 65534 {
			t.Errorf("%+v", e)
		}
	}
}

// copied puts this test's binary where others may run it.
func copied(t *testing.T, to string) string {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return to
}

// Nobody can connect before the mode is set: the socket comes to its path by a rename, with its mode.
func TestSocketAppearsWithItsMode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root may give a socket away")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "racker.sock")
	done, bad := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(bad)
		for {
			if info, err := os.Lstat(path); err == nil && (info.Mode().Perm() != 0o660 || info.Sys().(*syscall.Stat_t).Gid != 1) {
				bad <- fmt.Sprint(info.Mode(), info.Sys().(*syscall.Stat_t).Gid)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	a := newAPI(path, nil)
	for range 200 {
		s, err := a.bind(t.Context(), path, "daemon")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	if seen, ok := <-bad; ok {
		t.Errorf("the socket was seen as %s", seen)
	}
}
