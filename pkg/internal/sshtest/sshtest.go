// Package sshtest gives a test a node that it can log in to: OpenSSH's own sshd, with a user core, in mount namespaces of its own.
package sshtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// Node is a running sshd. Its /home, /root, /run, users and sudoers are its own: what scripts do there touches nothing of this
// machine. The user core may become root by sudo, as on Flatcar.
type Node struct {
	// Addr is where it listens.
	Addr netip.AddrPort
	// HostKey is its ed25519 key; it has one of another type, too.
	HostKey ssh.PublicKey
	// PEM is the private half.
	PEM []byte
	// Home is the home directory of core, as this process sees it.
	Home string

	t   testing.TB
	dir string
	cmd *exec.Cmd
}

// Options of Start.
type Options struct {
	// Addr is the address to listen on, of an interface of the test's namespace; the zero value is 127.0.0.1 with a free port.
	Addr netip.AddrPort
	// HostKey is a PEM; nil makes one.
	HostKey []byte
	// Authorized are lines of core's authorized_keys.
	Authorized []string
}

// start is what the namespaces are made by: $1 the node's files, $2 sshd's settings.
const start = `set -e
mount -t tmpfs tmpfs /run
mkdir -m 0755 /run/sshd
mount -t tmpfs tmpfs /root
for f in passwd shadow group sudoers; do
    mount --bind "$1/$f" "/etc/$f"
done
mount --bind "$1/home" /home
exec /usr/sbin/sshd -D -e -f "$2"
`

// Start starts a node, which ends with the test. It must be called inside of nettest.Run, as root; elsewhere it skips.
func Start(t testing.TB, o Options) *Node {
	t.Helper()
	if b, err := os.ReadFile("/proc/self/uid_map"); err != nil || strings.Contains(string(b), " 1\n") || os.Getuid() != 0 {
		t.Skip("needs root: sshd gives up its rights to another user")
	}
	n := &Node{t: t, dir: t.TempDir(), PEM: o.HostKey, Addr: o.Addr}
	if n.PEM == nil {
		n.PEM = NewKey(t)
	}
	signer, err := ssh.ParsePrivateKey(n.PEM)
	if err != nil {
		t.Fatal(err)
	}
	n.HostKey = signer.PublicKey()
	if !n.Addr.IsValid() {
		n.Addr = netip.MustParseAddrPort("127.0.0.1:0")
	}
	n.Home = filepath.Join(n.dir, "home", "core")
	n.write("passwd", 0o644, "root:x:0:0::/root:/bin/sh\ncore:x:500:500::/home/core:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")
	n.write("shadow", 0o600, "root:*:19000:0:99999:7:::\ncore:*:19000:0:99999:7:::\n")
	n.write("group", 0o644, "root:x:0:\ncore:x:500:\n")
	n.write("sudoers", 0o440, "core ALL=(ALL) NOPASSWD: ALL\n")
	n.write("home/core/.ssh/authorized_keys", 0o600, strings.Join(o.Authorized, "\n")+"\n")
	n.own()
	n.write("ed25519", 0o600, string(n.PEM))
	if n.Addr.Port() == 0 {
		n.Addr = free(t, n.Addr.Addr())
	}
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", filepath.Join(n.dir, "ecdsa")).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	n.write("sshd_config", 0o600, fmt.Sprintf(`ListenAddress %s
HostKey %[2]s/ecdsa
HostKey %[2]s/ed25519
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
`, n.Addr, n.dir))
	n.Up()
	return n
}

// free finds a free port; in a namespace of the test's own nobody else takes it.
func free(t testing.TB, addr netip.Addr) netip.AddrPort {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func (n *Node) write(name string, mode os.FileMode, text string) {
	n.t.Helper()
	name = filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		n.t.Fatal(err)
	}
}

// own gives core what is core's.
func (n *Node) own() {
	n.t.Helper()
	for _, name := range []string{"", ".ssh", ".ssh/authorized_keys"} {
		if err := os.Chown(filepath.Join(n.Home, name), 500, 500); err != nil {
			n.t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(n.Home, ".ssh"), 0o700); err != nil {
		n.t.Fatal(err)
	}
}

// Up starts sshd, and waits until it answers.
func (n *Node) Up() {
	n.t.Helper()
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = exec.CommandContext(context.WithoutCancel(n.t.Context()), "unshare", "--mount", "sh", "-c", start, "sh", n.dir, filepath.Join(n.dir, "sshd_config"))
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.Down)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := new(net.Dialer).DialContext(n.t.Context(), "tcp", n.Addr.String())
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("sshd does not answer: %v\n%s", err, n.Log())
		}
	}
}

// Down ends sshd and all that runs below it.
func (n *Node) Down() {
	if n.cmd == nil {
		return
	}
	for _, pid := range n.inside() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
	_ = n.cmd.Wait()
	n.cmd = nil
}

// inside gives the processes in the node's namespaces, sshd itself first: each login is a session of its own.
func (n *Node) inside() []int {
	pids := []int{n.cmd.Process.Pid}
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pids[0]))
	if mine, e := os.Readlink("/proc/self/ns/mnt"); err != nil || e != nil || own == mine {
		return pids
	}
	all, err := filepath.Glob("/proc/[0-9]*/ns/mnt")
	if err != nil {
		return pids
	}
	for _, link := range all {
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if at, e := os.Readlink(link); err == nil && e == nil && at == own && pid != pids[0] {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Log is what sshd said.
func (n *Node) Log() string {
	b, err := os.ReadFile(filepath.Join(n.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Authorized gives the lines of core's authorized_keys.
func (n *Node) Authorized() []string {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join(n.Home, ".ssh", "authorized_keys"))
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// Sh has core run a script there, as a login would.
func (n *Node) Sh(script string) error {
	cmd := exec.CommandContext(n.t.Context(), "nsenter", "--mount", "--target", strconv.Itoa(n.cmd.Process.Pid),
		"setpriv", "--reuid", "500", "--regid", "500", "--clear-groups", "env", "HOME=/home/core", "sh")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Files makes these the only ones in core's .ssh, by their paths there.
func (n *Node) Files(files map[string]string) {
	n.t.Helper()
	if err := os.RemoveAll(filepath.Join(n.Home, ".ssh")); err != nil {
		n.t.Fatal(err)
	}
	for name, text := range files {
		n.write(filepath.Join("home/core/.ssh", name), 0o600, text)
	}
	err := filepath.WalkDir(n.Home, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, 500, 500))
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// Check finds whether core's .ssh has these files, of mode 0600, and no other.
func (n *Node) Check(what string, want map[string]string) {
	n.t.Helper()
	got := map[string]string{}
	dir := filepath.Join(n.Home, ".ssh")
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		info, e := d.Info()
		if e == nil && info.Mode() != 0o600 {
			n.t.Errorf("%s: %s has mode %v", what, path, info.Mode())
		}
		name, _ := filepath.Rel(dir, path)
		got[name] = string(b)
		return errors.Join(err, e)
	})
	if err != nil {
		n.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		n.t.Errorf("%s: %s", what, diff)
	}
}

// Wait waits until core has a file with a process ID in its home, and gives it.
func (n *Node) Wait(name string) int {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(n.Home, name))
		if pid, e := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && e == nil {
			return pid
		}
	}
	n.t.Fatalf("%s: there is none\n%s", name, n.Log())
	return 0
}

// Gone waits until a process has ended.
func (n *Node) Gone(pid int) {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if syscall.Kill(pid, 0) != nil {
			return
		}
	}
	n.t.Errorf("process %d is still there", pid)
}

// NewKey makes an ed25519 key, as OpenSSH's PEM.
func NewKey(t testing.TB) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// Signer reads a key.
func Signer(t testing.TB, key []byte) ssh.Signer {
	t.Helper()
	s, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Line is the public half of a key, a line of authorized_keys.
func Line(t testing.TB, key []byte) string {
	t.Helper()
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(Signer(t, key).PublicKey())))
}
