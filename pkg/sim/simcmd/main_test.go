package simcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/stdio"
)

// asProgram makes the test's binary be racker-sim.
const asProgram = "RACKER_SIM_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(os.Args, os.Environ(), stdio.System(os.Getenv)))
	}
	os.Exit(m.Run())
}

// result of one call of racker-sim.
type result struct {
	Code     int
	Out, Err string
}

// call runs racker-sim as a process.
func call(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// must is call for what has to succeed; it gives the output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := call(t, args...)
	if r.Code != 0 {
		t.Fatalf("racker-sim %s: exit code %d: %s", strings.Join(args, " "), r.Code, r.Err)
	}
	return r.Out
}

func TestUsage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rack")
	tests := []struct {
		name string
		args []string
		want result
	}{
		{"no folder", []string{"status"}, result{2, "", "racker-sim: error: usage: --dir is missing: name the folder of the rack\n"}},
		{"unknown flag", []string{"up", "--fast"}, result{2, "", "racker-sim: error: usage: unknown flag: --fast\n"}},
		{"unknown command", []string{"sideways"}, result{2, "", "racker-sim: error: usage: racker-sim: unknown command \"sideways\" for \"racker-sim\"\n"}},
		{"exec without a command", []string{"exec", "--dir", dir}, result{2, "", "racker-sim: error: usage: racker-sim exec: requires at least 1 arg(s), only received 0\n"}},
		{"unknown fault", []string{"fault", "--dir", dir, "node-1", "rain"}, result{2, "",
			"racker-sim: error: usage: fault \"rain\": want bmc-mute, bmc-deaf-boot, bmc-deaf-power, bmc-no-timeout, unplugged, bmc-password, no-power, " +
				"no-dhcp, no-tftp, tftp-stall, no-kernel, kernel-stall, no-checkin, agent-silent, write-slow, write-error, write-reboot, " +
				"reply-lost, no-callback, always-network, disk-first, other-nic, boot-loop\n"}},
		{"no rack", []string{"status", "--dir", dir}, result{1, "",
			"racker-sim: error: " + dir + ": no rack is up in this folder\nracker-sim: hint: racker-sim up --dir DIR --detach\n"}},
		{"no rack to take down", []string{"down", "--dir", dir}, result{1, "",
			"racker-sim: error: " + dir + ": no rack is up in this folder\nracker-sim: hint: racker-sim up --dir DIR --detach\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, call(t, test.args...)); diff != "" {
				t.Errorf("racker-sim (-want +got):\n%s", diff)
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("a command that found no rack has made its folder: %v", err)
		}
	})
}

// rackIn brings a rack up in the background, and down at the end of the test whatever happened.
func rackIn(t *testing.T, dir string) {
	t.Helper()
	must(t, "up", "--dir", dir, "--detach")
	t.Cleanup(func() {
		if r := call(t, "down", "--dir", dir); r.Code != 0 && !strings.Contains(r.Err, sim.ErrNotRunning.Error()) {
			t.Errorf("down: %s", r.Err)
		}
	})
}

func TestRack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and taps")
	}
	dir := filepath.Join(t.TempDir(), "rack")
	rackIn(t, dir)

	if r := call(t, "up", "--dir", dir); r.Code != 1 || !strings.Contains(r.Err, sim.ErrRunning.Error()) {
		t.Errorf("a second up: %+v", r)
	}
	if r := call(t, "exec", "--dir", dir, "--", "sh", "-c", "echo out; echo err >&2; exit 7"); r != (result{7, "out\n", "err\n"}) {
		t.Errorf("exec: %+v", r)
	}
	if r := call(t, "exec", "--dir", dir, "--", "no-such-program"); r.Code != 1 {
		t.Errorf("exec of nothing: %+v", r)
	}
	got := must(t, "exec", "--dir", dir, "--", "sh", "-c", `echo "$RACKER_OEM_DIR $RACKER_STATE_DIR $RACKER_SOCKET"`)
	if want := dir + "/oem " + dir + "/state " + dir + "/racker.sock\n"; !strings.HasPrefix(got, want) {
		t.Errorf("environment on the management node: %q, want %q", got, want)
	}
	got = must(t, "exec", "--dir", dir, "--", "ip", "-br", "link")
	for _, want := range []string{"internal0", "52:54:00:00:02:01", "public0", "52:54:00:00:00:01"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s on the management node:\n%s", want, got)
		}
	}
	must(t, "power", "--dir", dir, "node-1", "on")
	must(t, "power", "--dir", dir, "node-1", "reset")
	awaitConsole(t, dir, "node-1", "SeaBIOS")
	if got := interfaces(t); strings.Contains(got, "52:54:00:00:0") || strings.Contains(got, "srv1-int") || strings.Contains(got, "mgmt-int") {
		t.Errorf("the host has interfaces of the rack:\n%s", got)
	}
	if n := node(t, dir, "node-1"); n.Power != "on" || n.Boots != 2 || n.Installs != 0 || n.MAC != "52:54:00:00:00:11" {
		t.Errorf("after a power-on and a reset: %+v", n)
	}
	must(t, "fault", "--dir", dir, "node-1", "unplugged", "bmc-mute")
	must(t, "exec", "--dir", dir, "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
	must(t, "down", "--dir", dir)
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("down has left processes: %v", left)
	}
}

func TestFleetCommand(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and taps")
	}
	dir := filepath.Join(t.TempDir(), "rack")
	must(t, "fleet", "--dir", dir, "--nodes", "5", "--scale", "0.01", "--address", "--detach")
	t.Cleanup(func() { call(t, "down", "--dir", dir) }) // at the test's end it is down already
	if r := call(t, "up", "--dir", dir); r.Code != 1 || !strings.Contains(r.Err, sim.ErrRunning.Error()) {
		t.Errorf("up in a fleet's folder: %+v", r)
	}
	got := must(t, "exec", "--dir", dir, "--", "sh", "-c", `cat "$RACKER_CONFIG" && ip -br address show internal0 && wc -l < "$RACKER_OEM_DIR/nodes.csv"`)
	for _, want := range []string{"prefix: 172.24.213.0/24", "172.24.213.1/24", "7\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q on the management node:\n%s", want, got)
		}
	}
	if n := node(t, dir, "node-5"); n.Power != "off" || n.State != sim.StateOff || n.Boots != 0 || n.Fleet == nil || n.MAC != "52:54:01:f1:00:05" {
		t.Errorf("a server that was never on: %+v", n)
	}
	must(t, "fault", "--dir", dir, "node-1", "no-power", "bmc-password")
	must(t, "power", "--dir", dir, "node-1", "on")
	must(t, "power", "--dir", dir, "node-2", "on")
	must(t, "power", "--dir", dir, "node-2", "reset")
	await(t, "node-2 to boot over the network", func() bool { return node(t, dir, "node-2").State == sim.StateNetboot })
	if n := node(t, dir, "node-1"); n.Power != "on" || n.Boots != 0 || len(n.Fleet.Faults) != 2 {
		t.Errorf("a server with a fault: %+v, faults %v", n, n.Fleet.Faults)
	}
	if n := node(t, dir, "node-2"); n.Boots != 2 || n.Fleet.PowerOffs != 0 {
		t.Errorf("a server that was reset by hand: %+v", n)
	}
	if r := call(t, "power", "--dir", dir, "node-2", "sideways"); r.Code != 1 || !strings.Contains(r.Err, "sideways") {
		t.Errorf("an unknown order: %+v", r)
	}
	image := filepath.Join(dir, "os.img")
	must(t, "fleet", "image", "--out", image, "--size", "8M", "--used", "2M")
	if st, err := os.Stat(image); err != nil || st.Size() != 8<<20 {
		t.Errorf("fleet image: %v, %v", st, err)
	}
	must(t, "down", "--dir", dir)
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("down has left processes: %v", left)
	}
}

// A supervisor that is killed takes its machines along, and its folder can be used again.
func TestKilledSupervisor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and taps")
	}
	dir := filepath.Join(t.TempDir(), "rack")
	rackIn(t, dir)
	must(t, "power", "--dir", dir, "node-1", "on")
	must(t, "exec", "--dir", dir, "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
	supervisor := 0
	for pid, args := range processes(t, dir) {
		if strings.Contains(args, "--ready-fd") {
			supervisor = pid
		}
	}
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil || supervisor == 0 {
		t.Fatalf("kill supervisor %d: %v", supervisor, err)
	}
	await(t, "QEMU to die with its supervisor", func() bool {
		for _, args := range processes(t, dir) {
			if !strings.HasPrefix(args, "sleep") {
				return false
			}
		}
		return true
	})
	if r := call(t, "status", "--dir", dir); r.Code != 1 || !strings.Contains(r.Err, sim.ErrNotRunning.Error()) {
		t.Errorf("status of a killed rack: %+v", r)
	}
	rackIn(t, dir)
	for pid, args := range processes(t, dir) {
		if strings.HasPrefix(args, "sleep") {
			t.Errorf("up has left %s (%d) of the killed rack", args, pid)
		}
	}
	if n := node(t, dir, "node-1"); n.Power != "off" || n.Boots != 0 {
		t.Errorf("a new rack's server: %+v", n)
	}
}

// interfaces lists the interfaces of the test's own namespace.
func interfaces(t *testing.T) string {
	t.Helper()
	b, err := exec.Command("ip", "-br", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// processes gives the command lines of the live processes that have to do with the rack: their working directory,
// command line or environment names its folder.
func processes(t *testing.T, dir string) map[int]string {
	t.Helper()
	out := map[int]string{}
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range names {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil || pid == os.Getpid() {
			continue
		}
		args, _ := os.ReadFile(p + "/cmdline") // empty for one that has ended
		env, _ := os.ReadFile(p + "/environ")
		cwd, _ := os.Readlink(p + "/cwd")
		if strings.Contains(cwd+"\x00"+string(args)+string(env), dir) && len(args) > 0 {
			out[pid] = strings.ReplaceAll(string(args), "\x00", " ")
		}
	}
	return out
}

func node(t *testing.T, dir, name string) sim.NodeStatus {
	t.Helper()
	var st sim.Status
	if err := json.Unmarshal([]byte(must(t, "status", "--dir", dir, "--json")), &st); err != nil {
		t.Fatal(err)
	}
	n := st.Find(name)
	if n == nil {
		t.Fatalf("no %s in %+v", name, st)
	}
	return *n
}

func awaitConsole(t *testing.T, dir, node, text string) {
	t.Helper()
	await(t, node+" to print "+text, func() bool { return strings.Contains(must(t, "console", "--dir", dir, node), text) })
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
