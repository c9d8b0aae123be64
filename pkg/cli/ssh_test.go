package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/internal/sshtest"
	"github.com/racker-project/racker/pkg/stdio"
)

// reached is a daemon that knows one node.
type reached struct{ host api.HostView }

func (r reached) Hosts(context.Context) ([]api.HostView, error) { return []api.HostView{r.host}, nil }

func (r reached) Node(context.Context, string) (api.NodeView, error) {
	return api.NodeView{Name: r.host.Name, PrimaryMAC: r.host.MAC}, nil
}

// TestSSH logs in to OpenSSH's sshd by this machine's ssh, with the operator's key, and to an impostor.
func TestSSH(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		key := sshtest.NewKey(t)
		n := sshtest.Start(t, sshtest.Options{Authorized: []string{sshtest.Line(t, key)}})
		home := t.TempDir()
		if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".ssh", "id_ed25519"), key, 0o600); err != nil {
			t.Fatal(err)
		}
		host := api.HostView{Name: "node-1", Names: []string{"node-1"}, MAC: "m", Address: "127.0.0.1", User: "core", HostKey: sshtest.Line(t, n.PEM)}
		impostor := host
		impostor.HostKey = testHostKey
		for name, tt := range map[string]struct {
			host    api.HostView
			home    string
			command []string
			code    int
			out     string // of stdout, or else of stderr
		}{
			"runs":            {host, home, []string{"echo", "$((6 * 7))"}, 0, "42\n"},
			"exit code":       {host, home, []string{"exit 7"}, 7, ""},
			"killed":          {host, home, []string{"kill -9 $$"}, 255, ""}, // ssh has no other code for it
			"no key":          {host, t.TempDir(), []string{"true"}, 255, "Permission denied"},
			"impostor":        {impostor, home, []string{"true"}, 255, "Host key verification failed"},
			"nobody answers":  {withAddress(host, "127.0.0.9"), home, []string{"true"}, codeUnreachable, ""},
			"words as ssh":    {host, home, []string{"printf", "%s-", "a  b", "c"}, 0, "a-b-c-"},
			"a dash in front": {host, home, []string{"printf", "--", "-x"}, 0, "-x"},
		} {
			streams, _, out, errOut := stdio.Test()
			o := &sshOptions{
				IO: streams, Take: (&interrupts{}).take, Home: tt.home, Word: "node-1", Command: tt.command, Port: int(n.Addr.Port()),
				Daemon: func() (sshSource, error) { return reached{tt.host}, nil },
			}
			err := o.run(t.Context())
			code := codeOK
			if err != nil {
				code = exitCode(t.Context(), err)
			}
			if code != tt.code || !strings.Contains(out.String()+errOut.String(), tt.out) {
				t.Errorf("%s: code %d, %v, %q, %q", name, code, err, out, errOut)
			}
			if code == 255 && !errors.Is(err, errSilent) {
				t.Errorf("%s: more is said than ssh says: %v", name, err)
			}
		}
		if left, err := filepath.Glob(filepath.Join(os.TempDir(), "racker-ssh-*")); err != nil || len(left) > 0 {
			t.Errorf("left over: %v, %v", left, err)
		}
	})
}

func withAddress(h api.HostView, address string) api.HostView {
	h.Address = address
	return h
}

// TestKnownHostsAsSSHReadsThem has ssh-keygen look a node up in what racker writes.
func TestKnownHostsAsSSHReadsThem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "known_hosts")
	hosts := []api.HostView{{Name: "node-1", Names: []string{"node-1", "db.example"}, Address: "172.24.213.2", HostKey: testHostKey}}
	if _, err := changeBlock(path, knownHostsText(hosts), true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node-1", "db.example", "172.24.213.2"} {
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-F", name, "-f", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), testHostKey) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// TestInventoryAsAnsibleReadsIt has ansible-inventory read what racker prints.
func TestInventoryAsAnsibleReadsIt(t *testing.T) {
	t.Parallel()
	hosts := []api.HostView{
		{Name: "node-1", Names: []string{"node-1"}, MAC: "52:54:00:00:00:01", Address: "172.24.213.2", User: "core", HostKey: testHostKey, State: "ready", Type: "Big: #1"},
		{Name: "yes", Names: []string{"yes"}, MAC: "52:54:00:00:00:02", Address: "172.24.213.3", User: "core", HostKey: testHostKey, State: "ready"},
		{Name: "not-installed", Names: []string{"not-installed"}, Address: "172.24.213.4", State: "known"},
	}
	for name, tt := range map[string]struct {
		hosts []api.HostView
		want  []string
	}{
		"some": {hosts, []string{
			`"yes"`, `"ansible_host": "172.24.213.2"`, `"ansible_user": "core"`, `"state_ready"`, `"type_big_1"`, "StrictHostKeyChecking=yes",
		}},
		"none": {hosts[2:], []string{`"_meta"`}},
	} {
		text, err := inventory(tt.hosts)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		path := filepath.Join(dir, "rack.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "ansible-inventory", "-i", path, "--list")
		cmd.Env = append(os.Environ(), "ANSIBLE_LOCAL_TEMP="+dir, "ANSIBLE_HOME="+dir, "LC_ALL=C.UTF-8", "ANSIBLE_INVENTORY_UNPARSED_FAILED=1",
			"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=1")
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v: %s\n%s", name, err, out, text)
		}
		for _, want := range tt.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: no %s in %s", name, want, out)
			}
		}
		if strings.Contains(string(out), "not-installed") {
			t.Errorf("%s: a node without a system is in it: %s", name, out)
		}
	}
}
