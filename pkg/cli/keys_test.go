package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/internal/sshtest"
	"github.com/racker-project/racker/pkg/stdio"
)

// testHostKey is a public key.
const testHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBO6rwyhzWcKgN9cnl5bxA0hMHR4q5RTP5qrhPBAYMW4"

// Hosts gives every server of the test rack; those that are ready have a host key.
func (r *testRack) Hosts(context.Context) ([]api.HostView, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []api.HostView{}
	for _, n := range r.nodes {
		if n.Management || n.Address == "" {
			continue
		}
		h := api.HostView{Name: n.Name, Names: []string{n.Name}, MAC: n.PrimaryMAC, Address: n.Address, Type: n.Type, State: n.State, User: api.SystemUser}
		if n.State == stateReady {
			h.HostKey = testHostKey
		}
		out = append(out, h)
	}
	return out, nil
}

func (r *testRack) Key(context.Context) (api.KeyView, error) {
	v := api.KeyView{Key: testHostKey + " racker", Fingerprint: "SHA256:one", Made: testTime()}
	if r.rotating {
		v.Next = &api.KeyNext{Key: testHostKey + " racker", Fingerprint: "SHA256:two", Made: testTime(), Done: 2, Left: []api.KeyLeft{{Node: "node-2"}}}
	}
	return v, nil
}

// RotateKey leaves node-2, which never answers, where the rack has it.
func (r *testRack) RotateKey(ctx context.Context) (api.KeyRotation, error) {
	r.mu.Lock()
	r.orders = append(r.orders, "key rotate")
	left := slices.ContainsFunc(r.nodes, func(n api.NodeView) bool { return n.Name == "node-2" && n.State != stateReady })
	r.rotating = left
	r.mu.Unlock()
	v := api.KeyRotation{Done: 2, Left: []api.KeyLeft{}}
	if left {
		v.Left, v.Code = []api.KeyLeft{{Node: "node-2", Why: "connect to node-2: not reachable over SSH"}}, codeSomeNodes
	}
	var err error
	v.Key, err = r.Key(ctx)
	return v, err
}

func TestSSHArguments(t *testing.T) {
	t.Parallel()
	streams, _, _, _ := stdio.Test()
	h := &api.HostView{Name: "node-1", Address: "172.24.213.2", User: "core", HostKey: testHostKey}
	for name, tt := range map[string]struct {
		o    sshOptions
		want []string // at the end
	}{
		"login":   {sshOptions{Port: 22}, []string{"-p", "22", "-l", "core", "--", "172.24.213.2"}},
		"command": {sshOptions{Port: 22, Command: []string{"ls", "-l", "a b"}}, []string{"--", "172.24.213.2", "ls", "-l", "a b"}},
		"all":     {sshOptions{Port: 2222, User: "root", Key: "/id", TTY: true, Command: []string{"top"}}, []string{"-i", "/id", "-o", "IdentitiesOnly=yes", "-t", "-p", "2222", "-l", "root", "--", "172.24.213.2", "top"}},
	} {
		tt.o.IO = streams
		got := tt.o.args(h, "/k")
		if !slices.Equal(got[max(0, len(got)-len(tt.want)):], tt.want) {
			t.Errorf("%s: %q", name, got)
		}
		for _, option := range []string{"StrictHostKeyChecking=yes", "UserKnownHostsFile=/k", "GlobalKnownHostsFile=/dev/null", "HostKeyAlias=node-1"} {
			if !slices.Contains(got, option) {
				t.Errorf("%s: no %s in %q", name, option, got)
			}
		}
	}
}

func TestHostsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	good := func() api.HostView {
		return api.HostView{Name: "node-1", Names: []string{"node-1", "db.example"}, Address: "172.24.213.2", HostKey: testHostKey}
	}
	if err := checkHosts([]api.HostView{good()}); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*api.HostView){
		"address":      func(h *api.HostView) { h.Address = "172.24.213.2\n1.2.3.4" },
		"no address":   func(h *api.HostView) { h.Address = "" },
		"line in name": func(h *api.HostView) { h.Names[1] = "a\nb" },
		"pattern":      func(h *api.HostView) { h.Names[1] = "*" },
		"empty name":   func(h *api.HostView) { h.Names[1] = "" },
		"comma":        func(h *api.HostView) { h.Names[1] = "a,b" },
		"no key":       func(h *api.HostView) { h.HostKey = "ssh-ed25519 x" },
		"two keys":     func(h *api.HostView) { h.HostKey += "\n" + testHostKey },
		"private key":  func(h *api.HostView) { h.HostKey = string(sshtest.NewKey(t)) },
	} {
		h := good()
		change(&h)
		if err := checkHosts([]api.HostView{h}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestNamesComeAndGo writes the names of nodes into all files, and takes them away when there is no node any more.
func TestNamesComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := config.Names{Hosts: filepath.Join(dir, "hosts"), KnownHosts: filepath.Join(dir, "ssh_known_hosts")}
	cellar, home := filepath.Join(dir, "cluster"), filepath.Join(dir, "empty")
	for name, text := range map[string]string{s.Hosts: "127.0.0.1 localhost", filepath.Join(cellar, "cluster.yaml"): "{}\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	hosts := []api.HostView{
		{Name: "node-1", Names: []string{"node-1", "db"}, Address: "172.24.213.2", HostKey: testHostKey},
		{Name: "node-2", Names: []string{"node-2"}, Address: "172.24.213.3"}, // not installed
	}
	if err := writeNames(s, hosts); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{cellar, home, filepath.Join(dir, "none")} {
		if err := writeKnownHosts(folder, "", hosts); err != nil {
			t.Error(err)
		}
	}
	line := "node-1,db,172.24.213.2 " + testHostKey + "\n"
	for name, want := range map[string]string{
		s.Hosts:                               "127.0.0.1 localhost\n" + blockBeginBare + "\n172.24.213.2\tnode-1 db\n172.24.213.3\tnode-2\n" + blockEnd + "\n",
		s.KnownHosts:                          blockBegin + "\n" + line + blockEnd + "\n",
		filepath.Join(cellar, knownHostsName): line,
	} {
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v, want %q", name, b, err, want)
		}
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("a folder without a cluster has %v, %v", left, err)
	}
	if err := writeNames(s, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.Hosts); err != nil || string(b) != "127.0.0.1 localhost" {
		t.Errorf("left: %q, %v", b, err)
	}
	if _, err := os.Stat(s.KnownHosts); err == nil {
		t.Error("the known_hosts that racker made is left")
	}
}
