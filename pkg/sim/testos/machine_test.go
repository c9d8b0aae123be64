package testos

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	bios = ""
	uefi = "/usr/share/OVMF/OVMF_CODE.fd"
)

// machine is a QEMU with a disk and a serial console.
type machine struct {
	t       *testing.T
	cmd     *exec.Cmd
	monitor string
	console *bytes.Buffer
	lines   chan string // closed at the console's end
}

// boot starts a machine that ends with the test at the latest; more are further words for QEMU.
func boot(t *testing.T, firmware, disk string, more ...string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, monitor: filepath.Join(dir, "monitor"), console: new(bytes.Buffer), lines: make(chan string, 1<<16)}
	args := []string{
		"-accel", "tcg", "-cpu", "max", "-m", "1024", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-monitor", "unix:" + m.monitor + ",server=on,wait=off",
		"-drive", "file=" + disk + ",if=virtio,format=raw,cache=unsafe",
		"-nic", "user,model=virtio-net-pci,mac=" + testMAC,
	}
	args = append(args, more...)
	if firmware != bios {
		vars := filepath.Join(dir, "vars.fd")
		copyFile(t, "/usr/share/OVMF/OVMF_VARS.fd", vars)
		args = append(args, "-M", "q35", "-drive", "if=pflash,format=raw,readonly=on,file="+firmware, "-drive", "if=pflash,format=raw,file="+vars)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cmd = exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(m.lines)
		m.read(out)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if err := m.cmd.Wait(); err != nil && ctx.Err() == nil {
			t.Errorf("qemu: %v", err)
		}
	})
	return m
}

// read passes on what the console shows, prompts without a line's end included.
func (m *machine) read(out io.Reader) {
	in := bufio.NewReader(out)
	for {
		buffer := make([]byte, 4096)
		n, err := in.Read(buffer)
		if n > 0 {
			m.lines <- string(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

// waitFor ends the test unless the console has shown the text within the time.
func (m *machine) waitFor(text string, within time.Duration) {
	m.t.Helper()
	deadline := time.After(within)
	for !strings.Contains(m.console.String(), text) {
		select {
		case more, open := <-m.lines:
			if !open {
				m.t.Fatalf("the machine ended without %q:\n%s", text, m.console)
			}
			m.console.WriteString(more)
		case <-deadline:
			m.t.Fatalf("no %q within %s:\n%s", text, within, m.console)
		}
	}
}

// powerOff presses the power button and waits for the end.
func (m *machine) powerOff(within time.Duration) {
	m.t.Helper()
	conn, err := net.Dial("unix", m.monitor)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "system_powerdown\n"); err != nil {
		m.t.Fatal(err)
	}
	deadline := time.After(within)
	for {
		select {
		case more, open := <-m.lines:
			if !open {
				return
			}
			m.console.WriteString(more)
		case <-deadline:
			m.t.Fatalf("still on %s after the power button:\n%s", within, m.console)
		}
	}
}

// disk is a raw image of the test OS.
type disk string

// offset gives where a partition starts, in bytes.
func (d disk) offset(t *testing.T, number int) int64 {
	t.Helper()
	for line := range strings.Lines(run(t, "sgdisk", fmt.Sprintf("--info=%d", number), string(d))) {
		if rest, found := strings.CutPrefix(line, "First sector: "); found {
			sector, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return sector * 512
		}
	}
	t.Fatalf("no partition %d on %s", number, d)
	return 0
}

// putConfig makes a new OEM file system with the config, as the agent leaves it.
func (d disk) putConfig(t *testing.T, config []byte) {
	t.Helper()
	dir := t.TempDir()
	oem := filepath.Join(dir, "oem.img")
	if err := os.Mkdir(filepath.Join(dir, "tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tree", "config.ign"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "truncate", "--size=128M", oem)
	run(t, "mkfs.btrfs", "--quiet", "--label=OEM", "--mixed", "--rootdir="+filepath.Join(dir, "tree"), oem)
	d.write(t, d.offset(t, 6), oem)
}

func (d disk) write(t *testing.T, offset int64, file string) {
	t.Helper()
	run(t, "dd", "if="+file, "of="+string(d), "bs=1M", "oflag=seek_bytes", fmt.Sprintf("seek=%d", offset), "conv=notrunc", "status=none")
}

// wipeRoot overwrites the start of ROOT with zeroes.
func (d disk) wipeRoot(t *testing.T) {
	t.Helper()
	zeroes := filepath.Join(t.TempDir(), "zeroes")
	if err := os.WriteFile(zeroes, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	d.write(t, d.offset(t, 9), zeroes)
}

// esp is the argument of mtools for the EFI system partition.
func (d disk) esp(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%s@@%d", d, d.offset(t, 1))
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := copySparse(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
}
