package sim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Environment gives env for a program on the management node: racker's paths point into the folder, unless env says
// where they are.
func (f Folder) Environment(env []string) []string {
	out := slices.Clone(env)
	type variable struct{ name, value string }
	variables := []variable{{"RACKER_OEM_DIR", f.OEM()}, {"RACKER_STATE_DIR", f.State()}, {"RACKER_SOCKET", f.Socket()},
		// The management node has the file system of this machine, whose own names are none of its business.
		{"RACKER_NAMES_HOSTS", f.join("hosts")}, {"RACKER_NAMES_KNOWN_HOSTS", f.join("known_hosts")}}
	if _, err := os.Stat(f.Config()); err == nil {
		variables = append(variables, variable{"RACKER_CONFIG", f.Config()})
	}
	for _, v := range variables {
		if !slices.ContainsFunc(out, func(s string) bool { return strings.HasPrefix(s, v.name+"=") }) {
			out = append(out, v.name+"="+v.value)
		}
	}
	return append(slices.DeleteFunc(out, func(s string) bool { return strings.HasPrefix(s, rackVariable+"=") }),
		rackVariable+"="+string(f))
}

// Exec replaces this process by a command on the management node: same standard streams, signals and exit code, in
// the management node's network namespace, which the command and its children keep alive. It returns only errors.
func (f Folder) Exec(argv, env []string) error {
	if len(argv) == 0 {
		return errors.New("no command")
	}
	if !f.alive() {
		return fmt.Errorf("%s: %w", f, ErrNotRunning)
	}
	r, err := f.read()
	if err != nil {
		return err
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("run on the management node: %w", err)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/fd/%d", r.PID, r.ManagementFD))
	if err != nil {
		return fmt.Errorf("open the management node's network: %w", err)
	}
	// The thread that calls execve becomes the process.
	runtime.LockOSThread()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the management node's network: %w", err)
	}
	if err := unix.Exec(program, argv, f.Environment(env)); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}
