package e2e

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/sim"
)

// The tests of this file need no virtual machine: the servers stay off, while their BMCs live and racker's programs run.

// anImage writes a small file that looks like a disk image.
func (s *site) anImage() string {
	s.t.Helper()
	raw := make([]byte, 1<<20)
	raw[510], raw[511] = 0x55, 0xaa
	name := filepath.Join(string(s.Folder), "small.img")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}

func (s *site) bootstrap() (int, string) {
	s.t.Helper()
	return s.racker(time.Minute, "bootstrap", "--provision", "image", "--image", s.anImage(), "--onfailure", "cancel", "--yes")
}

func TestWrongBMCPassword(t *testing.T) {
	s := quietSite(t)
	if err := os.WriteFile(filepath.Join(s.Folder.OEM(), "ipmi_password"), []byte("WRONG\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.microkernel("cloud")
	s.startServe()
	code, out := s.bootstrap()
	if code != 6 || !strings.Contains(out, "node-2") || !strings.Contains(out, "password") {
		t.Errorf("exit code %d, want 6 and a sentence about node-2:\n%s", code, out)
	}
	if strings.Contains(out, "WRONG") || strings.Contains(s.tail(s.log), "WRONG") {
		t.Error("the password was printed")
	}
	s.noWrites(true)
}

func TestSilentBMC(t *testing.T) {
	s := quietSite(t, "RACKER_DEADLINES_CHECK_BMC=8s")
	s.microkernel("cloud")
	s.startServe()
	// The others have their leases before one falls silent.
	s.waitForBMCs()
	if err := s.Client.SetFaults(t.Context(), "node-2", sim.Faults{BMCMute: true}); err != nil {
		t.Fatal(err)
	}
	code, out := s.bootstrap()
	if code != 6 || !strings.Contains(out, "node-2") {
		t.Errorf("exit code %d, want 6 and node-2 named:\n%s", code, out)
	}
	s.noWrites(true)
}

// waitForBMCs waits until racker reaches every BMC.
func (s *site) waitForBMCs() {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		out := s.must(30*time.Second, "status", "--json")
		if strings.Count(out, `"bmc_reached": true`)+strings.Count(out, `"bmc_reached":true`) == 3 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not every BMC is reached:\n%s", out)
		}
	}
}

func TestServeTwice(t *testing.T) {
	s := quietSite(t)
	s.startServe()
	if code, out := s.racker(20*time.Second, "serve"); code != 5 || !strings.Contains(out, "racker.db") {
		t.Errorf("exit code %d, want 5 and the file named:\n%s", code, out)
	}
	if took := s.stopServe(); took > 2*time.Second {
		t.Errorf("an idle daemon took %s to stop", took)
	}
}

func TestPortInUse(t *testing.T) {
	s := quietSite(t)
	s.startServe() // gives the internal interface its address
	s.stopServe()
	s.listenInside("172.24.213.1:8080")
	code, out := s.racker(20*time.Second, "serve")
	if code != 1 || !strings.Contains(out, "8080") || !strings.Contains(out, filepath.Base(os.Args[0])) {
		t.Errorf("exit code %d, want 1, the port and the program that has it (%s):\n%s", code, filepath.Base(os.Args[0]), out)
	}
}

// listenVariable makes this test program a stranger that has a port, until its standard input ends.
const listenVariable = "RACKER_E2E_LISTEN"

func TestMain(m *testing.M) {
	addr := os.Getenv(listenVariable)
	if addr == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString("bound\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it
	_ = l.Close()                        // the process ends
}

// listenInside has another program bind a TCP port on the management node until the test ends.
func (s *site) listenInside(addr string) {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), listenVariable+"="+addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.Start(cmd)
	s.t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			s.t.Error(err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.t.Fatalf("%q %v: could not bind %s", line, err, addr)
	}
}

func TestServeWithoutAnything(t *testing.T) {
	s := quietSite(t)
	nodes := filepath.Join(s.Folder.OEM(), "nodes.csv")
	good, err := os.ReadFile(nodes)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), "52:54:00:00:00:11", "52:54:00:00:00:zz", 1)
	if err := os.WriteFile(nodes, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.racker(20*time.Second, "serve"); code != 1 || !strings.Contains(out, "nodes.csv:3:1") {
		t.Errorf("exit code %d, want 1 and the place of the mistake:\n%s", code, out)
	}
	if code, out := s.racker(20*time.Second, "status"); code != 1 || !strings.Contains(out, "hint: ") {
		t.Errorf("status without a daemon: exit code %d, want 1 and a hint:\n%s", code, out)
	}
}

func TestBootstrapWithoutMicrokernelOrRoomForQuestions(t *testing.T) {
	s := quietSite(t)
	s.startServe()
	if code, out := s.bootstrap(); code == 0 || !strings.Contains(out, "microkernel") {
		t.Errorf("exit code %d without a microkernel:\n%s", code, out)
	}
	if code, out := s.racker(20*time.Second, "bootstrap", "--provision", "image", "--image", s.anImage()); code != 4 {
		t.Errorf("exit code %d without --yes and a terminal, want 4:\n%s", code, out)
	}
	s.noWrites(true)
}
