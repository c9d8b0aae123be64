package initrd

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
)

// unpacked gives the archive of a microkernel.
func unpacked(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listed gives the names in an archive, as the real cpio lists them.
func listed(t *testing.T, archive []byte) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cpio", "-it", "--quiet")
	cmd.Stdin = bytes.NewReader(archive)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cpio: %v", err)
	}
	return strings.Fields(string(out))
}

// files gives the contents in an archive by name.
func files(t *testing.T, archive []byte) map[string]cpio.Record {
	t.Helper()
	recs, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(archive)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]cpio.Record{}
	for _, r := range recs {
		out[r.Name] = r
	}
	return out
}

func content(t *testing.T, r cpio.Record) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBuild(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	tree.write(t, "fw/rtl_nic/rtl8168.fw.xz", packed(t, ".xz", []byte("blob")))
	tree.write(t, "escape", []byte("secret"))
	tree.spec.Firmware = filepath.Join(tree.dir, "fw")
	m, err := Build(t.Context(), tree.spec)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"failover", "net_failover", "r8169", "realtek", "virtio", "virtio_net"}
	if d := cmp.Diff(want, m.Modules); d != "" {
		t.Error(d)
	}
	if m.Release != testRelease || m.Arch != "amd64" || !validID(m.ID) {
		t.Errorf("manifest %+v", m)
	}
	if d := cmp.Diff([]string{"rtl_nic/rtl8168.fw"}, m.Firmware); d != "" {
		t.Error(d)
	}
	archive := unpacked(t, filepath.Join(tree.spec.Out, m.ID, InitrdFile))
	names := listed(t, archive)
	dir := "lib/modules/" + testRelease + "/"
	for _, n := range []string{"init", "dev/console", "dev/null", "proc", "sys", "sbin/modprobe", dir + "kernel/drivers/net/virtio_net.ko",
		dir + "kernel/net/net_failover.ko", dir + "modules.dep", "lib/firmware/rtl_nic/rtl8168.fw"} {
		if !slices.Contains(names, n) {
			t.Errorf("no %s in %v", n, names)
		}
	}
	if !slices.IsSorted(names) {
		t.Error("not sorted")
	}
	in := files(t, archive)
	if got := content(t, in[dir+"modules.dep"]); !strings.Contains(got,
		"kernel/drivers/net/virtio_net.ko: kernel/drivers/virtio/virtio.ko kernel/net/net_failover.ko kernel/net/failover.ko\n") {
		t.Errorf("modules.dep:\n%s", got)
	}
	if d := cmp.Diff("alias pci:v000010ECd* r8169\nalias virtio:d00000001v* virtio_net\n", content(t, in[dir+"modules.alias"])); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("softdep r8169 pre: realtek missing\n", content(t, in[dir+"modules.softdep"])); d != "" {
		t.Error(d)
	}
	if got := content(t, in["lib/firmware/rtl_nic/rtl8168.fw"]); got != "blob" {
		t.Errorf("firmware %q", got)
	}
	if c := in["dev/console"]; c.Mode != cpio.S_IFCHR|0o600 || c.Rmajor != 5 || c.Rminor != 1 {
		t.Errorf("dev/console %v", c.Info)
	}
	if got := content(t, in[dir+"kernel/drivers/net/virtio_net.ko"]); !strings.HasPrefix(got, "\x7fELF") {
		t.Error("a module is still compressed")
	}
}

// TestReproducible builds twice, with other times: same ID, same bytes, and nothing left behind.
func TestReproducible(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	a, err := Build(t.Context(), tree.spec)
	if err != nil {
		t.Fatal(err)
	}
	tree.touch(t)
	b, err := Build(t.Context(), tree.spec)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	tree.module(t, "drivers/net/e1000.ko", "depends=")
	c, err := Build(t.Context(), tree.spec)
	if err != nil || c.ID == a.ID {
		t.Errorf("another tree gave %v, %v", c, err)
	}
	left, err := os.ReadDir(tree.spec.Out)
	if err != nil || len(left) != 2 {
		t.Errorf("in the directory: %v, %v", left, err)
	}
	raw, err := os.ReadFile(filepath.Join(tree.spec.Out, a.ID, ManifestFile))
	var back Microkernel
	if err != nil || json.Unmarshal(raw, &back) != nil || back.Initrd != a.Initrd {
		t.Errorf("manifest on disk: %s, %v", raw, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	mods := "lib/modules/" + testRelease
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *testTree)
		is    error
		says  string
	}{
		{"no kernel", func(t *testing.T, x *testTree) { x.write(t, "boot/vmlinuz", []byte("#!/bin/sh")) }, ErrKernel, "vmlinuz"},
		{"kernel of another release", func(t *testing.T, x *testTree) { x.write(t, "boot/vmlinuz", testKernel("5.10.0")) }, ErrModules, "5.10.0"},
		{"no NIC driver", func(t *testing.T, x *testTree) { x.remove(t, mods+"/kernel/drivers/net") }, ErrModules, "NIC"},
		{"dependency missing", func(t *testing.T, x *testTree) { x.remove(t, mods+"/kernel/net/failover.ko") }, ErrModules, "failover"},
		{"module of another kernel", func(t *testing.T, x *testTree) {
			x.write(t, mods+"/kernel/drivers/net/e1000.ko", testModule("5.10.0", "depends="))
		}, ErrModules, "e1000"},
		{"module that is no ELF", func(t *testing.T, x *testTree) { x.write(t, mods+"/kernel/drivers/net/e1000.ko", []byte("x")) }, nil, "e1000"},
		{"module that does not unpack", func(t *testing.T, x *testTree) {
			x.write(t, mods+"/kernel/drivers/net/e1000.ko.xz", []byte("x"))
		}, nil, "e1000"},
		{"no modules", func(t *testing.T, x *testTree) { x.remove(t, "lib") }, ErrModules, testRelease},
		{"no directory of modules", func(_ *testing.T, x *testTree) { x.spec.Modules += "/missing" }, os.ErrNotExist, "missing"},
		{"dynamic agent", func(t *testing.T, x *testTree) { x.write(t, "agent", testAgent(elf.EM_X86_64, true)) }, ErrAgent, "dynamically"},
		{"agent of another machine", func(t *testing.T, x *testTree) { x.write(t, "agent", testAgent(elf.EM_AARCH64, false)) }, ErrAgent, "AARCH64"},
		{"agent that is a script", func(t *testing.T, x *testTree) { x.write(t, "agent", []byte("#!")) }, ErrAgent, "agent"},
		{"no agent", func(t *testing.T, x *testTree) { x.remove(t, "agent") }, os.ErrNotExist, "agent"},
		{"no firmware", func(_ *testing.T, x *testTree) { x.spec.Firmware = x.dir + "/missing" }, os.ErrNotExist, "missing"},
	} {
		tree := newTree(t)
		c.spoil(t, tree)
		_, err := Build(t.Context(), tree.spec)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if left, err := os.ReadDir(tree.spec.Out); err == nil && len(left) > 0 {
			t.Errorf("%s: left %v", c.name, left)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, newTree(t).spec); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestBuiltInNIC has a kernel whose only NIC driver is built in.
func TestBuiltInNIC(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	tree.remove(t, "lib/modules/"+testRelease+"/kernel/drivers/net")
	tree.write(t, "lib/modules/"+testRelease+"/modules.builtin", []byte("kernel/drivers/net/virtio_net.ko\n"))
	if _, err := Build(t.Context(), tree.spec); err != nil {
		t.Error(err)
	}
}

// TestAgentSize builds the real agent: with it, and without modules, the initramfs stays under 12 MB.
func TestAgentSize(t *testing.T) {
	t.Parallel()
	agent := filepath.Join(t.TempDir(), "racker-agent")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", agent,
		"github.com/racker-project/racker/cmd/racker-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, out)
	}
	data, err := readAgent(agent, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	var img bytes.Buffer
	if err := pack(&img, records(data, "none", nil, nil)); err != nil {
		t.Fatal(err)
	}
	const budget = 12_000_000
	t.Logf("agent %d bytes, initramfs %d bytes", len(data), img.Len())
	if img.Len() >= budget || len(data) >= budget {
		t.Errorf("agent of %d bytes, initramfs of %d bytes; the budget is %d", len(data), img.Len(), budget)
	}
}

func TestKernelRelease(t *testing.T) {
	t.Parallel()
	arm := make([]byte, 0x100)
	copy(arm[armMagicAt:], "ARMd")
	noVersion := testKernel("x")
	noVersion[x86VersionAt], noVersion[x86VersionAt+1] = 0, 0
	far := testKernel("x")
	far[x86VersionAt+1] = 0xff
	for name, c := range map[string]struct {
		image         []byte
		release, arch string
	}{
		"bzImage":     {testKernel("6.1.0-56-amd64"), "6.1.0-56-amd64", "amd64"},
		"arm64":       {append(arm, "Linux version 6.1.0-56-arm64 (x) #1"...), "6.1.0-56-arm64", "arm64"},
		"arm64, bare": {arm, "", ""},
		"no version":  {noVersion, "", ""},
		"far version": {far, "", ""},
		"a path":      {testKernel("../../etc"), "", ""},
		"nothing":     {nil, "", ""},
	} {
		release, arch, err := kernelRelease(c.image)
		if release != c.release || arch != c.arch || (err == nil) != (c.release != "") || err != nil && !errors.Is(err, ErrKernel) {
			t.Errorf("%s: %q, %q, %v", name, release, arch, err)
		}
	}
}

func FuzzKernelRelease(f *testing.F) {
	f.Add(testKernel("6.1.0"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, _, err := kernelRelease(b); err == nil && (r == "" || strings.ContainsAny(r, "/ \n")) {
			t.Errorf("release %q", r)
		}
	})
}

func FuzzModule(f *testing.F) {
	f.Add(testModule(testRelease, "depends=a,b-c", "alias=x", "softdep=pre: y"))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &module{data: b}
		if m.parse() != nil {
			return
		}
		for _, d := range m.depends {
			if d == "" || strings.Contains(d, "-") {
				t.Errorf("dependency %q", d)
			}
		}
	})
}
