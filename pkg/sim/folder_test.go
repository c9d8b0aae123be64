package sim

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/internal/nettest"
)

func TestLock(t *testing.T) {
	f := Folder(t.TempDir())
	if f.alive() {
		t.Error("a folder without a supervisor is alive")
	}
	lock, err := f.lock()
	must(t, err)
	must(t, f.write(runState{PID: 4711}))
	if _, err := f.lock(); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), "4711") {
		t.Errorf("a second lock gives %v", err)
	}
	if !f.alive() {
		t.Error("a folder with a supervisor is not alive")
	}
	must(t, lock.Close())
	if f.alive() {
		t.Error("a folder whose supervisor is gone is alive")
	}
	lock, err = f.lock()
	must(t, err)
	must(t, lock.Close())
}

func TestCleanKeepsWhatIsTheUsers(t *testing.T) {
	f := Folder(t.TempDir())
	must(t, os.MkdirAll(f.Node("node-1"), 0o755))
	for _, name := range []string{runFile, controlFile, "sim.yaml", "notes", "nodes/node-1/serial.sock", "nodes/node-1/ipmi.sock", "nodes/node-1/disk0.raw"} {
		must(t, os.WriteFile(f.join(name), nil, 0o600))
	}
	must(t, f.clean())
	must(t, f.clean())
	var left []string
	must(t, filepath.WalkDir(string(f), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, strings.TrimPrefix(path, string(f)+"/"))
		}
		return err
	}))
	if diff := cmp.Diff([]string{"nodes/node-1/disk0.raw", "notes", "sim.yaml"}, left); diff != "" {
		t.Errorf("files left (-want +got):\n%s", diff)
	}
}

func TestEnvironment(t *testing.T) {
	got := Folder("/r").Environment([]string{"A=1", "RACKER_STATE_DIR=/mine", "RACKER_SIM_DIR=/other"})
	want := []string{"A=1", "RACKER_STATE_DIR=/mine", "RACKER_OEM_DIR=/r/oem", "RACKER_SOCKET=/r/racker.sock",
		"RACKER_NAMES_HOSTS=/r/hosts", "RACKER_NAMES_KNOWN_HOSTS=/r/known_hosts", "RACKER_SIM_DIR=/r"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestExecWithoutARack(t *testing.T) {
	if err := Folder(t.TempDir()).Exec([]string{"true"}, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("exec gives %v", err)
	}
}

// Whatever is wrong with its files, a rack says so and leaves nothing held.
func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name, file, text string
		want             string
	}{
		{"a bad row", "oem/nodes.csv", "Primary MAC address, BMC MAC address, Secondary MAC address, Node Type, Comments\nx,,,,\n", "nodes.csv"},
		{"no servers", "oem/nodes.csv", "Primary MAC address, BMC MAC address, Secondary MAC address, Node Type, Comments\n" +
			"52:54:00:00:00:01, , 52:54:00:00:02:01, , \n", "at least one server"},
		{"an empty password", "oem/ipmi_password", "\n", "ipmi_password is empty"},
		{"a long user", "oem/ipmi_user", "a-user-of-more-than-16-bytes\n", "user must have"},
		{"a setting", "sim.yaml", "colour: red\n", "colour"},
		{"a network that is too small", "sim.yaml", "prefix: 10.0.0.0/30\n", "10.0.0.0/30"},
		{"no disk image", "sim.yaml", "nodes: {node-1: {disks: [{size: 1M, fill: /nowhere}]}}\n", "/nowhere"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			nettest.Run(t, func(t *testing.T, _ *nettest.Net) {
				f := Folder(t.TempDir())
				must(t, os.MkdirAll(f.OEM(), 0o755))
				must(t, os.WriteFile(f.join(test.file), []byte(test.text), 0o600))
				before := openFiles(t)
				_, err := New(context.Background(), f, Options{Log: slog.New(slog.DiscardHandler)})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("New gives %v, want %q in it", err, test.want)
				}
				if after := openFiles(t); after > before+1 { // the runtime's own poller
					t.Errorf("%d files were open, and now %d", before, after)
				}
				if f.alive() {
					t.Error("the folder is still held")
				}
			})
		})
	}
}
