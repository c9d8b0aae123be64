package agent

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/initrd"
)

// vmTime bounds the life of one virtual machine, firmware included.
const vmTime = 5 * time.Minute

// vmTest skips a test that needs virtual machines where they are not wanted.
func vmTest(t *testing.T) {
	t.Helper()
	if os.Getenv("RACKER_VM") != "1" {
		t.Skip("set RACKER_VM=1 for tests with virtual machines")
	}
}

// vm is one QEMU with the microkernel started by its loader, a serial log, and what QEMU says of the guest.
type vm struct {
	console string // file
	cmd     *exec.Cmd
	events  <-chan map[string]any // closed when QEMU ends
	ended   chan error
}

// debianKernel gives the kernel of a Debian package and the tree of its modules, from a cache outside of the repository.
func debianKernel(t *testing.T, meta string) (kernel, tree string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	pkg := regexp.MustCompile(`Depends: (linux-image-\d\S+)`).FindStringSubmatch(run(t, "", "apt-cache", "depends", meta))
	if pkg == nil {
		t.Fatalf("%s depends on no kernel", meta)
	}
	tree = filepath.Join(cache, "racker", "kernels", pkg[1])
	if _, err := os.Stat(tree); err != nil {
		if err := os.MkdirAll(filepath.Dir(tree), 0o755); err != nil {
			t.Fatal(err)
		}
		tmp, err := os.MkdirTemp(filepath.Dir(tree), ".new-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(tmp)
		run(t, "", "sh", "-ec", `cd "$1" && apt-get -q download "$2" && dpkg -x "$2"_*.deb tree`, "sh", tmp, pkg[1])
		if err := os.Rename(filepath.Join(tmp, "tree"), tree); err != nil {
			t.Fatal(err)
		}
	}
	found, err := filepath.Glob(filepath.Join(tree, "boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("kernels in %s: %v, %v", tree, found, err)
	}
	return found[0], tree
}

// microkernel builds one with the agent as it is now.
func microkernel(t *testing.T, meta string) (dir string) {
	t.Helper()
	kernel, tree := debianKernel(t, meta)
	agent := filepath.Join(t.TempDir(), "racker-agent")
	run(t, "", "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", agent,
		"github.com/racker-project/racker/cmd/racker-agent")
	out := t.TempDir()
	m, err := initrd.Build(t.Context(), initrd.Spec{Kernel: kernel, Modules: tree, Agent: agent, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: kernel %d bytes, initramfs %d bytes, %d modules", m.Release, m.Kernel.Size, m.Initrd.Size, len(m.Modules))
	return filepath.Join(out, m.ID)
}

// startVM starts a machine that ends, rather than resets, when the guest reboots.
func startVM(t *testing.T, dir string, cfg Settings, extra ...string) *vm {
	t.Helper()
	tmp := t.TempDir()
	v := &vm{console: filepath.Join(tmp, "console"), ended: make(chan error, 1)}
	l, err := net.Listen("unix", filepath.Join(tmp, "qmp"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join([]string{
		"console=ttyS0", api.ArgServer + "=" + strings.TrimSuffix(cfg.Server.String(), "/"), api.ArgAssets + "=" + cfg.Assets.String(),
		api.ArgToken + "=" + cfg.Token, api.ArgPin + "=" + cfg.Pin, api.ArgMAC + "=" + cfg.MAC.String(),
	}, " ")
	args := append([]string{
		"-accel", "tcg", "-cpu", "max", "-m", "1024", "-display", "none", "-no-reboot", "-rtc", "base=2010-01-01",
		"-serial", "file:" + v.console, "-monitor", "none", "-qmp", "unix:" + filepath.Join(tmp, "qmp"),
		"-kernel", filepath.Join(dir, initrd.KernelFile), "-initrd", filepath.Join(dir, initrd.InitrdFile), "-append", line,
		"-netdev", "user,id=n",
	}, extra...)
	v.cmd = exec.CommandContext(t.Context(), "qemu-system-x86_64", args...)
	var errOut strings.Builder
	v.cmd.Stderr = &errOut
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan map[string]any, 64)
	v.events = events
	var reader sync.WaitGroup
	reader.Go(func() { defer close(events); followQMP(conn, events) })
	go func() {
		err := v.cmd.Wait()
		reader.Wait()
		v.ended <- err
	}()
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill() // it has ended where the test went well
		<-v.ended
		_ = conn.Close()
		_ = l.Close()
		if t.Failed() {
			b, _ := os.ReadFile(v.console)
			t.Logf("console:\n%s\nqemu: %s", b[max(0, len(b)-6000):], errOut.String())
		}
	})
	return v
}

// followQMP passes QEMU's events on, as many as fit.
func followQMP(conn io.ReadWriter, events chan<- map[string]any) {
	if _, err := io.WriteString(conn, `{"execute":"qmp_capabilities"}`); err != nil {
		return
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var m map[string]any
		if json.Unmarshal(lines.Bytes(), &m) != nil || m["event"] == nil {
			continue
		}
		select {
		case events <- m:
		default:
		}
	}
}

// over waits for the guest's reboot.
func (v *vm) over(t *testing.T) {
	t.Helper()
	select {
	case err := <-v.ended:
		v.ended <- nil // for the cleanup
		if err != nil {
			t.Errorf("qemu: %v", err)
		}
	case <-time.After(vmTime):
		t.Fatalf("the machine did not reboot within %v", vmTime)
	}
}

// vmRig is a server for a virtual machine, and its disk.
func vmRig(t *testing.T) (*rackServer, *serving, *testImage, string) {
	t.Helper()
	srv := newRackServer()
	img := makeImage(t, fsBtrfs)
	const host = "10.0.2.2" // QEMU's user network reaches the loopback of its host there
	net := serve(t, srv, host, os.DirFS(img.library))
	manifest, err := json.Marshal(img.manifest)
	if err != nil {
		t.Fatal(err)
	}
	srv.blobs[api.BlobManifest] = manifest
	srv.blobs[api.BlobIgnition] = []byte(`{"ignition":{"version":"3.3.0"}}`)
	srv.job = img.job()
	return srv, net, img, randomFile(t, img.manifest.RawSize+16*mib)
}

// report finds what a step said when it was done.
func (s *rackServer) report(t *testing.T, step int, into any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports {
		switch {
		case r.State == api.StepFailed:
			t.Fatalf("step %d failed: %s\n%s", r.step, r.Reason, r.LogTail)
		case r.step == step && r.State == api.StepDone:
			if err := json.Unmarshal(r.Result, into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("step %d was not done; reports %+v", step, s.reports)
}

// config reads config.ign from the written disk, without mounting it.
func (im *testImage) config(t *testing.T, disk string) string {
	t.Helper()
	in, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	part := filepath.Join(t.TempDir(), "oem")
	out, err := os.Create(part)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, io.NewSectionReader(in, im.oemFirst, im.oemSize)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run(t, "", "btrfs", "restore", "-m", part, dir)
	name := filepath.Join(dir, configName)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("config.ign: %v, %v", st.Mode(), err)
	}
	return string(b)
}

// TestVMInstall boots Debian's cloud kernel on a BIOS machine whose clock says 2010 and whose disk is full of random
// bytes.
func TestVMInstall(t *testing.T) {
	vmTest(t)
	dir := microkernel(t, "linux-image-cloud-amd64")
	srv, net, img, disk := vmRig(t)
	began := time.Now()
	v := startVM(t, dir, net.settings(t, "10.0.2.2"),
		"-device", "virtio-net-pci,netdev=n,mac="+testMAC,
		"-drive", "if=none,id=d,format=raw,file="+disk, "-device", "virtio-blk-pci,drive=d,serial=DISK1")
	srv.awaitFor(t, vmTime, "the check-in", func() bool { return len(srv.checkIns) > 0 })
	t.Logf("from power-on to check-in: %v", time.Since(began).Round(100*time.Millisecond))
	v.over(t)
	t.Logf("from power-on to reboot: %v", time.Since(began).Round(100*time.Millisecond))
	img.sameAs(t, disk, true)
	if got := img.config(t, disk); got != string(srv.blobs[api.BlobIgnition]) {
		t.Errorf("config.ign = %q", got)
	}
	in := srv.checkIns[0]
	if in.Clock.Year() != 2010 || in.Identity.Firmware != "bios" || in.Identity.BootMAC != testMAC {
		t.Errorf("check-in: clock %v, identity %+v", in.Clock, in.Identity)
	}
	var d api.DiskResult
	srv.report(t, 1, &d)
	if d.Disk.Path != "/dev/vda" || d.Disk.Serial != "DISK1" || d.Disk.Transport != "virtio" {
		t.Errorf("disk = %+v", d.Disk)
	}
	var fw firmwareResult
	srv.report(t, 4, &fw)
	if fw.Set || fw.Why == "" {
		t.Errorf("firmware = %+v", fw)
	}
	v.rtcSet(t, time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC))
}

// rtcSet looks for QEMU's word that the guest set its RTC to the present, from base on.
func (v *vm) rtcSet(t *testing.T, base time.Time) {
	t.Helper()
	var offset float64
	for e := range v.events {
		if e["event"] == "RTC_CHANGE" {
			data, _ := e["data"].(map[string]any)
			offset, _ = data["offset"].(float64)
		}
	}
	if off := time.Since(base.Add(time.Duration(offset) * time.Second)); off < -time.Minute || off > vmTime {
		t.Errorf("the RTC was set %v off (RTC_CHANGE offset %v s)", off, offset)
	}
}

// TestVMUEFI boots Debian's generic kernel by OVMF, with a SATA disk, an Intel NIC and a BMC; the installed disk must be
// first in the firmware's boot order.
func TestVMUEFI(t *testing.T) {
	vmTest(t)
	dir := microkernel(t, "linux-image-amd64")
	srv, net, img, disk := vmRig(t)
	vars := filepath.Join(t.TempDir(), "vars")
	blank, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vars, blank, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	v := startVM(t, dir, net.settings(t, "10.0.2.2"), "-M", "q35",
		"-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
		"-drive", "if=pflash,format=raw,file="+vars,
		"-device", "e1000e,netdev=n,mac="+testMAC+",romfile=",
		"-drive", "if=none,id=d,format=raw,file="+disk, "-device", "ide-hd,drive=d,bus=ide.0,serial=DISK1",
		"-device", "ipmi-bmc-sim,id=b", "-device", "isa-ipmi-kcs,bmc=b")
	srv.awaitFor(t, vmTime, "the check-in", func() bool { return len(srv.checkIns) > 0 })
	t.Logf("from power-on to check-in: %v", time.Since(began).Round(100*time.Millisecond))
	v.over(t)
	t.Logf("from power-on to reboot: %v", time.Since(began).Round(100*time.Millisecond))
	img.sameAs(t, disk, true)
	if in := srv.checkIns[0]; in.Identity.Firmware != "uefi" || in.Identity.BootMAC != testMAC {
		t.Errorf("identity %+v", in.Identity)
	}
	for line := range strings.Lines(srv.log.String()) {
		if strings.Contains(line, "level=WARN") {
			t.Log(strings.TrimSpace(line))
		}
	}
	var d api.DiskResult
	srv.report(t, 1, &d)
	if d.Disk.Path != "/dev/sda" || d.Disk.Transport != "sata" {
		t.Errorf("disk = %+v", d.Disk)
	}
	var fw firmwareResult
	srv.report(t, 4, &fw)
	if !fw.Set {
		t.Errorf("firmware = %+v", fw)
	}
	flash, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(flash), string(utf16z("racker: node-1"))) {
		t.Error("the firmware's flash has no entry of racker")
	}
}
