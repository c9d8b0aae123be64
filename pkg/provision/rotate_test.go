package provision

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/internal/sshtest"
)

// operatorKey is a line of an operator's.
const operatorKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBO6rwyhzWcKgN9cnl5bxA0hMHR4q5RTP5qrhPBAYMW4 ann"

// onSSH gives a world whose two servers are installed, each with a real sshd that has what their Ignition configs gave them.
func onSSH(t *testing.T, n *nettest.Net) (*world, map[byte]*sshtest.Node) {
	t.Helper()
	w := newWorld(t)
	n.Veth(nettest.Nic{Name: "int0", Addrs: []string{"172.24.213.1/24", "172.24.213.2/24", "172.24.213.3/24"}}, nettest.Nic{NS: n.NS("rest"), Name: "eth0"})
	m := w.start(nil)
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Fatal(v)
	}
	own, err := m.keys.own(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[byte]*sshtest.Node{}
	for _, last := range []byte{2, 3} {
		host, err := m.keys.host(t.Context(), mac(last))
		if err != nil {
			t.Fatal(err)
		}
		nodes[last] = sshtest.Start(t, sshtest.Options{
			Addr: netip.AddrPortFrom(w.addr(last), 22), HostKey: []byte(host.PEM), Authorized: []string{operatorKey, own.Current.line()},
		})
	}
	return w, nodes
}

// rotate rotates, and gives what became of it.
func rotate(t *testing.T, m *Machine) api.KeyRotation {
	t.Helper()
	v, err := m.RotateKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func has(n *sshtest.Node, k sshKey) bool {
	return slices.ContainsFunc(n.Authorized(), func(l string) bool { return strings.Contains(l, body(k)) })
}

// TestRotate rotates twice; in the second a node is off.
func TestRotate(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		w, nodes := onSSH(t, n)
		m := w.at()
		first, err := m.keys.own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v := rotate(t, m); v.Code != 0 || v.Done != 2 || len(v.Left) != 0 || v.Key.Next != nil || v.Key.Fingerprint == first.Current.fingerprint() {
			t.Fatalf("%+v", v)
		}
		second, err := m.keys.own(t.Context())
		if err != nil || second.Next != nil {
			t.Fatal(second, err)
		}
		for last, node := range nodes {
			if lines := node.Authorized(); len(lines) != 2 || lines[0] != operatorKey || lines[1] != second.Current.line() {
				t.Errorf("node %d has %q", last, lines)
			}
		}

		nodes[3].Down()
		v := rotate(t, m)
		if v.Code != codeSomeLeft || v.Done != 1 || len(v.Left) != 1 || v.Left[0].Node != "node-2" || !strings.Contains(v.Left[0].Why, "not reachable") {
			t.Fatalf("%+v", v)
		}
		if v.Key.Fingerprint != second.Current.fingerprint() || v.Key.Next == nil || v.Key.Next.Running {
			t.Errorf("the key that node-2 has is not kept: %+v", v.Key)
		}
		if has(nodes[2], second.Current) {
			t.Error("node-1 still has the old key")
		}
		n1, _ := m.find("node-1")
		if out, err := m.reach.Run(t.Context(), n1, w.addr(2), "cat; id -u", []byte("in ")); err != nil || string(out.Stdout) != "in 0\n" {
			t.Errorf("in between, on node-1: %q, %v", out.Stdout, err)
		}

		nodes[3].Up()
		n2, _ := m.find("node-2")
		if out, err := m.reach.Run(t.Context(), n2, w.addr(3), "exit 3", nil); err != nil || out.Code != 3 {
			t.Errorf("in between, on node-2: %+v, %v", out, err)
		}
		next := v.Key.Next.Fingerprint
		if v := rotate(t, m); v.Code != 0 || v.Done != 2 || v.Key.Fingerprint != next {
			t.Errorf("the rotation did not go on with its key: %+v", v)
		}
		if has(nodes[3], second.Current) {
			t.Error("node-2 still has the old key")
		}
	})
}

// TestRotateLeavesBusyNodes leaves a node alone that has another order, and waits for a script that is at work on it.
func TestRotateLeavesBusyNodes(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		w, nodes := onSSH(t, n)
		m := w.at()
		before := nodes[2].Authorized()
		_, _, release, err := m.reserve("node-1", "power")
		if err != nil {
			t.Fatal(err)
		}
		if v := rotate(t, m); v.Code != codeSomeLeft || v.Done != 1 || len(v.Left) != 1 || !strings.Contains(v.Left[0].Why, "has the order power") {
			t.Errorf("%+v", v)
		}
		if d := cmp.Diff(before, nodes[2].Authorized()); d != "" {
			t.Errorf("a node that is busy was changed: %s", d)
		}
		release()
		k, err := newSSHKey()
		if err != nil {
			t.Fatal(err)
		}
		held := removeKey(k) + "flock -n /run/racker/apply.lock true && exit 7; exit 0\n"
		if err := nodes[2].Sh(held); err != nil {
			t.Errorf("a script of the rotation does not hold the lock of an apply: %v", err)
		}
		if v := rotate(t, m); v.Code != 0 || v.Done != 2 {
			t.Errorf("afterwards: %+v", v)
		}
	})
}

// TestRotationIsKilled kills the daemon while a node is being changed: the next one goes on by itself.
func TestRotationIsKilled(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		w, nodes := onSSH(t, n)
		m := w.at()
		old, err := m.keys.own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // it dies when it has stored what it is about to do
		if _, err := m.RotateKey(ctx); err == nil {
			t.Fatal("a rotation that was cut short came to its end")
		}
		w.kill()
		m = w.start(nil)
		begun, err := m.keys.own(t.Context())
		if err != nil || begun.Next == nil || !begun.Running || begun.Current != old.Current {
			t.Fatal(begun, err)
		}
		// As if it had been killed on node-1 between the new key and the old one, and on node-2 after both.
		if err := nodes[2].Sh(addKey(begun.Current, *begun.Next)); err != nil {
			t.Fatal(err)
		}
		if err := nodes[3].Sh(addKey(begun.Current, *begun.Next) + "\n" + removeKey(begun.Current)); err != nil {
			t.Fatal(err)
		}
		life, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.KeepRotating(life) }()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			now, err := m.keys.own(t.Context())
			if err == nil && now.Next == nil {
				break
			}
			if time.Now().After(deadline) {
				v, err := m.Key(t.Context())
				t.Fatalf("it does not go on: %+v, %v", v.Next, err)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for last, node := range nodes {
			if lines := node.Authorized(); len(lines) != 2 || lines[0] != operatorKey || lines[1] != begun.Next.line() {
				t.Errorf("node %d has %q", last, lines)
			}
		}
	})
}

// TestKeyScripts changes the files of a home as they may be.
func TestKeyScripts(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		var keys [2]sshKey
		for i := range keys {
			k, err := newSSHKey()
			if err != nil {
				t.Fatal(err)
			}
			keys[i] = k
		}
		old, next := keys[0], keys[1]
		node := sshtest.Start(t, sshtest.Options{})
		for name, tt := range map[string]struct{ before, added, removed map[string]string }{
			"one file": {
				map[string]string{"authorized_keys": operatorKey + "\n" + old.line() + "\n"},
				map[string]string{"authorized_keys": operatorKey + "\n" + old.line() + "\n" + next.line() + "\n"},
				map[string]string{"authorized_keys": operatorKey + "\n" + next.line() + "\n"},
			},
			"no line end, options": {
				map[string]string{"authorized_keys": operatorKey + "\nno-pty " + old.line()},
				map[string]string{"authorized_keys": operatorKey + "\nno-pty " + old.line() + "\n" + next.line() + "\n"},
				map[string]string{"authorized_keys": operatorKey + "\n" + next.line() + "\n"},
			},
			"fragments": {
				map[string]string{"authorized_keys": operatorKey + "\n", "authorized_keys.d/ignition": old.line() + "\n", "authorized_keys.d/mine": operatorKey + "\n"},
				map[string]string{"authorized_keys": operatorKey + "\n", "authorized_keys.d/ignition": old.line() + "\n" + next.line() + "\n", "authorized_keys.d/mine": operatorKey + "\n"},
				map[string]string{"authorized_keys": operatorKey + "\n", "authorized_keys.d/ignition": next.line() + "\n", "authorized_keys.d/mine": operatorKey + "\n"},
			},
			"nowhere": {
				map[string]string{},
				map[string]string{"authorized_keys": next.line() + "\n"},
				map[string]string{"authorized_keys": next.line() + "\n"},
			},
		} {
			node.Files(tt.before)
			for range 2 { // the second time changes nothing
				if err := node.Sh(addKey(old, next)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				node.Check(name+", added", tt.added)
			}
			for range 2 {
				if err := node.Sh(removeKey(old)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				node.Check(name+", removed", tt.removed)
			}
		}
	})
}

// TestHostKeysStay gives a node the same host key over a reinstall, a restart and a new mainboard, and others another.
func TestHostKeysStay(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	if hosts, err := m.Hosts(t.Context()); err != nil || len(hosts) != 2 || hosts[0].HostKey != "" || hosts[0].Address != "172.24.213.2" {
		t.Errorf("before any install: %+v, %v", hosts, err)
	}
	if v := w.runToEnd(request()); v.Code != 0 {
		t.Fatal(v)
	}
	key := func(m *Machine, i int) string {
		t.Helper()
		hosts, err := m.Hosts(t.Context())
		if err != nil || len(hosts) != 2 || !strings.HasPrefix(hosts[i].HostKey, "ssh-ed25519 ") {
			t.Fatalf("%+v, %v", hosts, err)
		}
		return hosts[i].HostKey
	}
	first := key(m, 0)
	if other := key(m, 1); other == first {
		t.Error("two nodes have one key")
	}
	v, err := m.Reprovision(t.Context(), "node-1", api.Reprovision{OnFailure: api.OnFailureCancel, Erase: api.EraseExact})
	if err != nil {
		t.Fatal(err)
	}
	if v = w.wait(v.ID); v.Code != 0 {
		t.Fatal(v)
	}
	if got := key(m, 0); got != first {
		t.Error("a reinstall changed the host key")
	}
	if c, err := m.Config(t.Context(), "node-1"); err != nil || c.HostKey != first {
		t.Errorf("the node's config has host key %q, %v", c.HostKey, err)
	}
	w.kill()
	m = w.start(nil)
	if got := key(m, 0); got != first {
		t.Error("a restart changed the host key")
	}
	if _, err := m.Replace(t.Context(), "node-1", api.Replace{Primary: mac(9).String()}); err != nil {
		t.Fatal(err)
	}
	w.csv = strings.Replace(w.csv, mac(2).String(), mac(9).String(), 1)
	if _, err := m.Reread(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := key(m, 0); got != first {
		t.Error("new hardware changed the host key")
	}
}
