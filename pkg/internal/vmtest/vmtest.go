// Package vmtest gives a test a simulated rack with real virtual machines (package sim). Such tests take minutes, so they
// run only with RACKER_VM=1; they need root.
//
// Waiting is by condition and deadline, never by a fixed time. The rack is always taken down; the logs of a test that
// failed are kept, and their folder is named.
package vmtest

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	racks "github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
)

// Rack says what to start.
type Rack struct {
	// Nodes is the text of nodes.csv, its first row the management node; empty is sim.DefaultNodes.
	Nodes string
	// Settings is the text of sim.yaml, which may be empty.
	Settings string
	// Address gives the management node's internal NIC its address; else that is left to racker.
	Address bool
	// PowerOn switches every server on at the start.
	PowerOn bool
}

// Running is a rack that is up. Its methods end the test when they fail.
type Running struct {
	Folder sim.Folder
	Client *sim.Client

	t    testing.TB
	rack rack
}

// rack is a rack of either kind that is up.
type rack interface {
	Start(cmd *exec.Cmd) error
	Run(ctx context.Context, ready func()) error
	Stranger(mac racks.MAC, address netip.Prefix) (*sim.Namespace, error)
}

// Start brings a rack up for the time of the test. Without RACKER_VM=1 it skips the test.
func Start(t testing.TB, r Rack) *Running {
	t.Helper()
	Long(t)
	return StartAlways(t, r)
}

// Long skips a test that takes minutes, with virtual machines or a fleet, without RACKER_VM=1.
func Long(t testing.TB) {
	t.Helper()
	if os.Getenv("RACKER_VM") != "1" {
		t.Skip("set RACKER_VM=1 for tests that take minutes")
	}
}

// StartAlways is Start without the condition, for a short test with one machine.
func StartAlways(t testing.TB, r Rack) *Running {
	t.Helper()
	folder, log := newFolder(t, r.Settings)
	nodes := ""
	if r.Nodes != "" {
		nodes = filepath.Join(string(folder), "nodes.csv")
		write(t, nodes, r.Nodes)
	}
	return run(t, folder, func(ctx context.Context) (rack, error) {
		return sim.New(ctx, folder, sim.Options{Nodes: nodes, Address: r.Address, PowerOn: r.PowerOn, Log: log})
	})
}

// newFolder makes a rack's folder, which goes with the test, and its log.
func newFolder(t testing.TB, settings string) (sim.Folder, *slog.Logger) {
	t.Helper()
	dir, err := os.MkdirTemp("", "racker-vm-")
	if err != nil {
		t.Fatal(err)
	}
	folder := sim.Folder(dir)
	t.Cleanup(func() { keep(t, folder) })
	write(t, folder.Settings(), settings)
	log, err := os.Create(folder.Log())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return folder, slog.New(slog.NewTextHandler(log, nil))
}

// run makes a rack and runs it for the time of the test.
func run(t testing.TB, folder sim.Folder, build func(context.Context) (rack, error)) *Running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := build(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("rack: %v", err)
		}
	})
	<-ready
	return &Running{Folder: folder, Client: sim.NewClient(folder), t: t, rack: r}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if text == "" {
		return
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keep removes the rack's folder, or after a failure only the disks in it.
func keep(t testing.TB, folder sim.Folder) {
	if !t.Failed() {
		if err := os.RemoveAll(string(folder)); err != nil {
			t.Error(err)
		}
		return
	}
	disks, err := filepath.Glob(filepath.Join(string(folder), "nodes", "*", "*.raw"))
	for _, d := range disks {
		err = errors.Join(err, os.Remove(d))
	}
	t.Logf("logs are kept in %s (removing disks: %v)", folder, err)
}

// Start starts a command on the management node: in its network, with racker's paths in the environment. Its standard streams and
// waiting for it are the caller's; a program that still runs at the end of the test is ended with the rack.
func (r *Running) Start(cmd *exec.Cmd) {
	r.t.Helper()
	if err := r.rack.Start(cmd); err != nil {
		r.t.Fatalf("%s: %v", cmd, err)
	}
}

// Stranger makes a machine on the internal network that is no node, for the time of the test; its NIC is eth0.
func (r *Running) Stranger(mac, address string) *sim.Namespace {
	r.t.Helper()
	m, err := racks.ParseMAC(mac)
	if err != nil {
		r.t.Fatal(err)
	}
	ns, err := r.rack.Stranger(m, netip.MustParsePrefix(address))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ns.Close() }) // what is in it is gone by then
	return ns
}

// Run runs a command on the management node to its end and gives its exit code and what it wrote. A command that cannot be
// run at all ends the test.
func (r *Running) Run(ctx context.Context, name string, args ...string) (code int, output string) {
	r.t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	file, err := os.CreateTemp(string(r.Folder), "output-")
	if err != nil {
		r.t.Fatal(err)
	}
	defer file.Close()                  // the file goes with the folder
	cmd.Stdout, cmd.Stderr = file, file // a file, so that a child in the background holds nothing up
	r.Start(cmd)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%s: %v", cmd, err)
	}
	b, err := os.ReadFile(file.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// MustRun is Run for a command that must succeed.
func (r *Running) MustRun(ctx context.Context, name string, args ...string) string {
	r.t.Helper()
	code, out := r.Run(ctx, name, args...)
	if code != 0 {
		r.t.Fatalf("%s %v: exit code %d\n%s", name, args, code, out)
	}
	return out
}

// Power gives a power order to a server, past its BMC.
func (r *Running) Power(node string, order sim.PowerOrder) {
	r.t.Helper()
	if err := r.Client.Power(context.Background(), node, order); err != nil {
		r.t.Fatalf("power %s %s: %v", order, node, err)
	}
}
