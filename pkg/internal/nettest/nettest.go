// Package nettest gives a test a network of its own: Run starts the test again in a new process, in a new user and
// network namespace, where it may make interfaces, bind any port and send raw packets without being root and without
// any packet leaving it.
//
// A test has one root namespace, in which its own sockets are, and as many further ones as it makes for its peers.
package nettest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// marker is the environment variable that tells a test process that it is in its own namespace.
const marker = "RACKER_NETTEST"

// Run calls f in a new network namespace. The test runs twice: outside, where Run starts the inner process and waits
// for it, and inside, where f runs; so Run should be the test's first call. It works as root, as any user where the
// kernel allows user namespaces, and in containers; where neither is allowed the test is skipped.
func Run(t *testing.T, f func(t *testing.T, n *Net)) {
	t.Helper()
	if os.Getenv(marker) == t.Name() {
		n, err := newNet(t)
		if err != nil {
			t.Fatalf("nettest: %v", err)
		}
		f(t, n)
		return
	}
	out, err := again(t, syscall.CLONE_NEWUSER|syscall.CLONE_NEWNET)
	if errors.Is(err, syscall.EPERM) && os.Geteuid() == 0 {
		out, err = again(t, syscall.CLONE_NEWNET)
	}
	var exit *exec.ExitError
	switch {
	case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC):
		t.Skipf("nettest: no right to make a network namespace: %v", err)
	case errors.As(err, &exit):
		t.Errorf("in a namespace: %v\n%s", err, out)
	case err != nil:
		t.Fatalf("nettest: start %s: %v", os.Args[0], err)
	case strings.Contains(out, "no tests to run"):
		t.Fatalf("nettest: the inner process did not find %s", t.Name())
	case strings.Contains(out, "--- SKIP"):
		t.Skipf("in a namespace:\n%s", out)
	case testing.Verbose():
		t.Logf("in a namespace:\n%s", out)
	}
}

// again runs this test alone in a new process with new namespaces.
func again(t *testing.T, flags uintptr) (string, error) {
	t.Helper()
	// The kernel kills the inner process when the thread that started it ends; so this one must not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	ctx := context.Background()
	if d, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, d.Add(-time.Second))
		defer cancel()
	}
	parts := strings.Split(t.Name(), "/")
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+strings.Join(parts, "$/^")+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), marker+"="+t.Name())
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: ids()}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: ids()}}
		cmd.SysProcAttr.GidMappingsEnableSetgroups = os.Geteuid() == 0
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// ids is how many users a namespace has: root's may start programs that give up their rights to another user.
func ids() int {
	if os.Geteuid() == 0 {
		return 1 << 16
	}
	return 1
}
