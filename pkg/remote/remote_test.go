package remote_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/ssh"

	"github.com/racker-project/racker/pkg/internal/nettest"
	"github.com/racker-project/racker/pkg/internal/sshtest"
	"github.com/racker-project/racker/pkg/remote"
)

// node is a node and a login that it lets in.
func node(t *testing.T) (*sshtest.Node, remote.Target) {
	key := sshtest.NewKey(t)
	n := sshtest.Start(t, sshtest.Options{Authorized: []string{sshtest.Line(t, key)}})
	return n, remote.Target{Name: "node-1", Addr: n.Addr, User: "core", HostKey: n.HostKey, Keys: []ssh.Signer{sshtest.Signer(t, key)}}
}

func dial(t *testing.T, to remote.Target) *remote.Client {
	t.Helper()
	c, err := remote.Dial(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func TestRun(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		_, to := node(t)
		c := dial(t, to)
		tests := map[string]struct {
			script remote.Script
			want   remote.Result
		}{
			"output":          {remote.Script{Text: "echo out; echo err >&2"}, remote.Result{Stdout: []byte("out\n"), Stderr: []byte("err\n")}},
			"exit code":       {remote.Script{Text: "echo a; exit 7; echo b"}, remote.Result{Stdout: []byte("a\n"), ExitCode: 7}},
			"killed":          {remote.Script{Text: "kill -9 $$"}, remote.Result{ExitCode: 128 + 9, Signal: "KILL"}},
			"empty input":     {remote.Script{Text: "cat; echo end"}, remote.Result{Stdout: []byte("end\n")}},
			"input":           {remote.Script{Text: "cat; exit 3", Input: []byte("a\x00b'\n$x\n")}, remote.Result{Stdout: []byte("a\x00b'\n$x\n"), ExitCode: 3}},
			"big input":       {remote.Script{Text: "wc -c", Input: make([]byte, 3<<20)}, remote.Result{Stdout: []byte("3145728\n")}},
			"input not read":  {remote.Script{Text: "echo x", Input: make([]byte, 3<<20)}, remote.Result{Stdout: []byte("x\n")}},
			"here document":   {remote.Script{Text: "cat <<E\n$((6 * 7))\nE"}, remote.Result{Stdout: []byte("42\n")}},
			"comment at end":  {remote.Script{Text: "echo x # y"}, remote.Result{Stdout: []byte("x\n")}},
			"not cut in half": {remote.Script{Text: "echo begun\nif true; then"}, remote.Result{ExitCode: 2}},
			"as root":         {remote.Script{Text: "id -u", Root: true}, remote.Result{Stdout: []byte("0\n")}},
			"no arguments":    {remote.Script{Text: "tr '\\0' ' ' </proc/$$/cmdline"}, remote.Result{Stdout: []byte("sh ")}},
		}
		for name, tt := range tests {
			got, err := c.Run(t.Context(), tt.script)
			if name == "not cut in half" || tt.script.Root {
				got.Stderr = nil // the words of the shell, or of a sudo that cannot resolve this machine's name
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}

func TestDialErrors(t *testing.T) {
	nettest.Run(t, func(t *testing.T, n *nettest.Net) {
		n.Veth(nettest.Nic{Name: "int0", Addrs: []string{"10.9.0.1/24"}}, nettest.Nic{NS: n.NS("gone"), Name: "eth0"})
		node, to := node(t)
		silent := listen(t, func(net.Conn) {})
		hangs := listen(t, func(c net.Conn) { _ = c.Close() })
		tests := map[string]struct {
			change func(*remote.Target)
			want   error
			says   string
		}{
			"another host key": {func(to *remote.Target) { to.HostKey = sshtest.Signer(t, sshtest.NewKey(t)).PublicKey() },
				remote.ErrHostKey, ssh.FingerprintSHA256(node.HostKey)},
			"no host key of that type": {func(to *remote.Target) { to.HostKey = rsaKey(t) }, remote.ErrHostKey, "host key"},
			"another key": {func(to *remote.Target) { to.Keys = []ssh.Signer{sshtest.Signer(t, sshtest.NewKey(t))} },
				remote.ErrAuth, "publickey"},
			"no such user": {func(to *remote.Target) { to.User = "nobody-here" }, remote.ErrAuth, "nobody-here"},
			"port closed":  {func(to *remote.Target) { to.Addr = netip.MustParseAddrPort("127.0.0.1:1") }, remote.ErrUnreachable, "refused"},
			"nobody there": {func(to *remote.Target) { to.Addr = netip.MustParseAddrPort("10.9.0.7:22") }, remote.ErrUnreachable, "10.9.0.7"},
			"silent":       {func(to *remote.Target) { to.Addr = silent }, remote.ErrUnreachable, "node-1"},
			"hangs up":     {func(to *remote.Target) { to.Addr = hangs }, remote.ErrUnreachable, "node-1"},
			"second key fits": {func(to *remote.Target) {
				to.Keys = append([]ssh.Signer{sshtest.Signer(t, sshtest.NewKey(t))}, to.Keys...)
			}, nil, ""},
		}
		for name, tt := range tests {
			to := to
			to.Timeout = 700 * time.Millisecond
			if tt.want == nil || errors.Is(tt.want, remote.ErrAuth) {
				to.Timeout = 20 * time.Second
			}
			tt.change(&to)
			c, err := remote.Dial(t.Context(), to)
			if tt.want == nil {
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				_ = c.Close()
				continue
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "node-1") || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := remote.Dial(ctx, to); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		later, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("enough"))
		defer cancel()
		to.Addr = silent
		if _, err := remote.Dial(later, to); !errors.Is(err, remote.ErrUnreachable) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("deadline: %v", err)
		}
		if _, err := remote.Dial(t.Context(), remote.Target{Name: "node-1", Addr: silent}); err == nil {
			t.Error("no host key: dialled")
		}
	})
}

// listen accepts connections and lets f have each.
func listen(t *testing.T, f func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range open {
					_ = c.Close()
				}
				return
			}
			open = append(open, c)
			f(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func rsaKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRunEnds(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		n, to := node(t)
		c := dial(t, to)
		if _, err := c.Run(t.Context(), remote.Script{Text: "yes", MaxOutput: 10_000}); !errors.Is(err, remote.ErrOutput) {
			t.Errorf("endless output: %v", err)
		}
		if _, err := c.Run(t.Context(), remote.Script{Text: "true"}); !errors.Is(err, remote.ErrLost) || !errors.Is(err, remote.ErrUnreachable) {
			t.Errorf("a connection that was closed: %v", err)
		}

		c = dial(t, to)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := c.Run(ctx, remote.Script{Text: "echo $$ >~/pid; exec sleep 1000"})
			ended <- err
		}()
		pid := n.Wait("pid")
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		n.Gone(pid)

		c = dial(t, to)
		go func() {
			_, err := c.Run(t.Context(), remote.Script{Text: "echo $$ >~/other; exec sleep 1000"})
			ended <- err
		}()
		n.Wait("other")
		n.Down()
		if err := <-ended; !errors.Is(err, remote.ErrLost) {
			t.Errorf("the node went: %v", err)
		}
	})
}

func TestPut(t *testing.T) {
	nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
		n, to := node(t)
		c := dial(t, to)
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		in := filepath.Join(n.Home, "it's here")
		file := func(size int64, content io.Reader) remote.File {
			return remote.File{Path: "/home/core/it's here", Mode: 0o640, Size: size, Content: content, Root: true}
		}
		check := func(want []byte) {
			t.Helper()
			got, err := os.ReadFile(in)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
			}
			if left, err := os.ReadDir(n.Home); err != nil || len(left) != 2 { // and .ssh
				t.Errorf("left over: %v, %v", left, err)
			}
		}
		if err := c.Put(t.Context(), file(int64(len(big)), bytes.NewReader(big))); err != nil {
			t.Fatal(err)
		}
		check(big)
		if info, err := os.Stat(in); err != nil || info.Mode() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		for name, f := range map[string]remote.File{
			"too short": file(5, strings.NewReader("four")),
			"too long":  file(5, strings.NewReader("sixsix")),
			"broken":    file(5, iotest.ErrReader(errors.New("disk error"))),
			"relative":  {Path: "x", Mode: 0o600, Content: strings.NewReader("")},
			"not clean": {Path: "/home/core/../x", Mode: 0o600, Content: strings.NewReader("")},
			"setuid":    {Path: "/home/core/x", Mode: os.ModeSetuid | 0o755, Content: strings.NewReader("")},
			"no folder": {Path: "/home/core/none/x", Mode: 0o600, Content: strings.NewReader("")},
		} {
			err := c.Put(t.Context(), f)
			if err == nil || !strings.Contains(err.Error(), "node-1") || name == "broken" && !strings.Contains(err.Error(), "disk error") {
				t.Errorf("%s: %v", name, err)
			}
			check(big)
		}
		if err := c.Put(t.Context(), file(0, strings.NewReader(""))); err != nil {
			t.Fatal(err)
		}
		check([]byte{})
	})
}
