package bmc_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/bmc"
)

// What ipmi_sim is told to accept.
const (
	simUser     = "ADMIN"
	simPassword = "swordfish"
)

// chassisControl is the program that ipmi_sim runs for power and boot device: "ADDRESS get power", "ADDRESS set boot pxe". It
// keeps the state in files beside it.
const chassisControl = `#!/bin/sh
dir=$(dirname "$0")
what=$2
shift 2
while [ $# -gt 0 ]; do
	case "$what $1" in
	"get power") echo "power:$(cat "$dir/power")" ;;
	"get boot") echo "boot:$(cat "$dir/boot")" ;;
	"set power" | "set boot") echo "$2" >"$dir/$1"; echo "$1 $2" >>"$dir/orders"; shift ;;
	esac
	shift
done
`

// openIPMI is a running ipmi_sim.
type openIPMI struct {
	dir  string
	port int
}

// orders lists the changes that the chassis program was told.
func (o *openIPMI) orders(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(o.dir, "orders"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

// target gives the way in, with the right password.
func (o *openIPMI) target() bmc.Target {
	return bmc.Target{Node: "node-2 (U17)", Host: "127.0.0.1", Port: o.port, User: simUser, Password: simPassword}
}

// startOpenIPMI runs OpenIPMI's BMC simulator for the length of the test.
func startOpenIPMI(t *testing.T) *openIPMI {
	t.Helper()
	program, err := exec.LookPath("ipmi_sim")
	if err != nil {
		t.Fatalf("ipmi_sim of the Debian package openipmi is needed: run make deps (%v)", err)
	}
	for range 3 { // the port was free a moment ago, no more
		if o := tryOpenIPMI(t, program); o != nil {
			return o
		}
	}
	t.Fatal("ipmi_sim does not answer on any port")
	return nil
}

func tryOpenIPMI(t *testing.T, program string) *openIPMI {
	t.Helper()
	o := &openIPMI{dir: t.TempDir(), port: freePort(t)}
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("chassis", chassisControl, 0o700)
	write("power", "0", 0o600)
	write("boot", "default", 0o600)
	write("lan.conf", fmt.Sprintf(`name "racker-test"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %d
    priv_limit admin
    allowed_auths_admin none md5
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%s/chassis 0x20"
  user 2 true %q %q admin 10 none md5
`, o.port, o.dir, simUser, simPassword), 0o600)
	write("bmc.emu", "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n", 0o600)
	cmd := exec.Command(program, "-c", filepath.Join(o.dir, "lan.conf"), "-f", filepath.Join(o.dir, "bmc.emu"), "-s", filepath.Join(o.dir, "state"), "-n")
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	go io.Copy(io.Discard, out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); in.Close(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	if !answersPing(t, o.port, ended) {
		return nil
	}
	return o
}

// freePort gives a UDP port of the loopback that nothing uses now.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// answersPing sends RMCP presence pings (IPMI 2.0 section 13.2.3) until one is answered or the program has ended.
func answersPing(t *testing.T, port int, ended <-chan struct{}) bool {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ping := []byte{6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 1, 0, 0}
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	for buf := make([]byte, 64); ; {
		if _, err := conn.Write(ping); err == nil {
			conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := conn.Read(buf); err == nil {
				return true
			}
		}
		select {
		case <-ended:
			return false
		case <-timer.C:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// testContext ends with the test, and before go test gives up.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
