package agent

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// moduleTree writes metadata and gives a loader that records what it inserts.
func moduleTree(t *testing.T, files map[string]string, fail map[string]error) (*modules, *[]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	m, err := openModules(dir, func(file string) error {
		name := strings.TrimPrefix(file, dir+"/")
		if err := fail[name]; err != nil {
			return err
		}
		got = append(got, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, &got
}

// someModules are in the format of modules.dep(5); a/virtio-net.ko has a hyphen on purpose.
func someModules() map[string]string {
	return map[string]string{
		"modules.dep": "a/virtio-net.ko: a/net_failover.ko a/failover.ko a/virtio.ko\na/virtio.ko:\na/failover.ko:\n" +
			"a/net_failover.ko: a/failover.ko\nb/btrfs.ko: b/xor.ko\nb/xor.ko:\nb/sum.ko:\nc/x.ko:\nc/y.ko:\n",
		"modules.alias": "# comment\nalias virtio:d00000001v* virtio_net\nalias pci:v00008086d*sv*sd*bc0[0-2]sc00i* x\n" +
			"alias crypto-crc32c sum\nalias of:N*T*Ca,b/c* y\nalias short\n",
		"modules.softdep": "softdep btrfs pre: crypto-crc32c missing post: y\nsoftdep x pre: y\nsoftdep y pre: x\n",
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ask  []string
		fail map[string]error
		want []string
		bad  bool
	}{
		{"dependencies first, by alias", []string{"virtio:d00000001v00001AF4"}, nil,
			[]string{"a/virtio.ko", "a/failover.ko", "a/net_failover.ko", "a/virtio-net.ko"}, false},
		{"by name, with either dash", []string{"virtio-net", "virtio_net"}, nil,
			[]string{"a/virtio.ko", "a/failover.ko", "a/net_failover.ko", "a/virtio-net.ko"}, false},
		{"soft dependencies before and after", []string{"btrfs"}, nil, []string{"b/sum.ko", "b/xor.ko", "b/btrfs.ko", "c/x.ko", "c/y.ko"}, false},
		{"a circle of wishes ends", []string{"x"}, nil, []string{"c/y.ko", "c/x.ko"}, false},
		{"a slash is a letter", []string{"of:NaTbCa,b/c/d"}, nil, []string{"c/x.ko", "c/y.ko"}, false},
		{"a range", []string{"pci:v00008086d1sv0sd0bc02sc00i0"}, nil, []string{"c/y.ko", "c/x.ko"}, false},
		{"nobody's device", []string{"pci:v00008086d0bc03"}, nil, nil, false},
		{"loaded before", []string{"virtio-net"}, map[string]error{"a/virtio.ko": unix.EEXIST},
			[]string{"a/failover.ko", "a/net_failover.ko", "a/virtio-net.ko"}, false},
		{"a dependency that fails", []string{"virtio-net"}, map[string]error{"a/failover.ko": unix.ENODEV}, []string{"a/virtio.ko"}, true},
		{"a wish that fails", []string{"btrfs"}, map[string]error{"b/sum.ko": unix.ENODEV}, []string{"b/xor.ko", "b/btrfs.ko", "c/x.ko", "c/y.ko"}, false},
	} {
		m, got := moduleTree(t, someModules(), c.fail)
		var errs error
		for _, a := range c.ask {
			_, err := m.load(a)
			errs = errors.Join(errs, err)
		}
		if (errs != nil) != c.bad {
			t.Errorf("%s: %v", c.name, errs)
		}
		if d := cmp.Diff(c.want, *got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		if _, err := m.load(c.ask[0]); err != nil {
			t.Errorf("%s: tried again: %v", c.name, err)
		}
	}
}

func TestColdplug(t *testing.T) {
	t.Parallel()
	sys := t.TempDir()
	device := func(bus, name, modalias string) {
		dir := filepath.Join(sys, "bus", bus, "devices", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "modalias"), []byte(modalias+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	device("pci", "0000:00:03.0", "pci:v00001AF4d00001000")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"modules.dep":   "virtio_pci.ko:\nvirtio_net.ko:\n",
		"modules.alias": "alias pci:v00001AF4d* virtio_pci\nalias virtio:d00000001v* virtio_net\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	m, err := openModules(dir, func(file string) error {
		got = append(got, filepath.Base(file))
		if filepath.Base(file) == "virtio_pci.ko" { // the bus driver finds a device
			device("virtio", "virtio0", "virtio:d00000001v00001AF4")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	coldplug(m, sys, slog.New(slog.DiscardHandler))
	if d := cmp.Diff([]string{"virtio_pci.ko", "virtio_net.ko"}, got); d != "" {
		t.Error(d)
	}
	if m.count() != 2 {
		t.Errorf("count = %d", m.count())
	}
}

func TestWithoutHelper(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	name := filepath.Join(proc, "sys/kernel/modprobe")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("/sbin/modprobe\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := withoutHelper(proc, func() error {
		if b, err := os.ReadFile(name); err != nil || string(b) != "\n" {
			t.Errorf("meanwhile %q, %v", b, err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("err = %v", err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "/sbin/modprobe\n" {
		t.Errorf("afterwards %q, %v", b, err)
	}
}
