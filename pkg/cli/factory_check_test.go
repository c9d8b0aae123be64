package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/stdio"
)

// testInterfaces is a management node with a VLAN on its internal interface.
func testInterfaces() ([]rack.Interface, error) {
	return []rack.Interface{
		{Name: "lo"}, {Name: "eth0", MAC: rack.MAC{0x52, 0x54, 0, 0xaa, 0, 1}},
		{Name: "eth1", MAC: rack.MAC{0x52, 0x54, 0, 0xcc, 0, 1}}, {Name: "eth2", MAC: rack.MAC{0x52, 0x54, 0, 0xdd, 0, 1}},
	}, nil
}

// oemDir makes an OEM directory with the given nodes.csv and good credentials.
func oemDir(t *testing.T, nodesCSV []byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		rack.NodesFile: nodesCSV, rack.UserFile: []byte("admin\n"), rack.PasswordFile: []byte("x\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func checkOptions(streams *stdio.Streams, dir string) factoryCheckOptions {
	return factoryCheckOptions{
		IO: streams, Interfaces: testInterfaces,
		Settings: func() (config.Settings, error) {
			s := config.Default()
			s.OEMDir = dir
			return s, nil
		},
	}
}

// TestFactoryCheckBroken checks every broken file of package rack: each line of the answer has file, line and column,
// as text and as JSON.
func TestFactoryCheckBroken(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../rack/testdata/*.csv")
	if err != nil || len(files) == 0 {
		t.Fatalf("no broken files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := oemDir(t, data)
			streams, _, out, _ := stdio.Test()
			o := checkOptions(streams, dir)
			if err := o.run(); err == nil || exitCode(t.Context(), err) != codeFailed {
				t.Errorf("error %v", err)
			}
			place := regexp.MustCompile("^" + regexp.QuoteMeta(filepath.Join(dir, rack.NodesFile)) + `:[1-9]\d*:[1-9]\d*: \S`)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			for _, line := range lines {
				if !place.MatchString(line) {
					t.Errorf("no line and column: %s", line)
				}
			}
			out.Reset()
			o.JSON = true
			if err := o.run(); err == nil {
				t.Error("no error with --json")
			}
			var report factoryReport
			if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.OK || len(report.Errors) != len(lines) {
				t.Errorf("%d lines, report %+v, error %v", len(lines), report, err)
			}
		})
	}
}

const goodNodes = `Primary MAC, BMC MAC, Secondary MAC, Type, Comments, BMC Password File
52:54:00:aa:00:01, , 52:54:00:cc:00:01, management
52:54:00:aa:00:02, 52:54:00:bb:00:02, , storage
52:54:00:aa:00:03, 52:54:00:bb:00:03, , compute
52:54:00:aa:00:04, 52:54:00:bb:00:04
52:54:00:aa:00:05, 52:54:00:bb:00:05, , compute
`

func manyServers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "52:54:00:ee:00:%02x, 52:54:00:ff:00:%02x\n", i, i)
	}
	return b.String()
}

func TestFactoryCheck(t *testing.T) {
	t.Parallel()
	change := func(f func(*config.Settings)) func(*factoryCheckOptions) {
		return func(o *factoryCheckOptions) {
			load := o.Settings
			o.Settings = func() (config.Settings, error) { s, err := load(); f(&s); return s, err }
		}
	}
	vlan := func(o *factoryCheckOptions) {
		o.Interfaces = func() ([]rack.Interface, error) {
			all, err := testInterfaces()
			return append(all, rack.Interface{Name: "eth1.7", MAC: all[2].MAC}), err
		}
	}
	counted := "(no type)\t1\ncompute\t2\nstorage\t1\n"
	tests := []struct {
		name, nodes string
		change      func(*factoryCheckOptions)
		out         string // DIR stands for the OEM directory
	}{
		{name: "good", nodes: goodNodes, out: counted},
		{name: "a VLAN shares the MAC", nodes: goodNodes, change: vlan,
			out: "DIR/nodes.csv: internal interface: eth1, eth1.7 all have the MAC address 52:54:00:cc:00:01: set internal.interface to the right one\n"},
		{name: "set interface", nodes: goodNodes, change: change(func(s *config.Settings) { s.Internal.Interface = "eth2" }), out: counted},
		{name: "set interface is not there", nodes: goodNodes, change: change(func(s *config.Settings) { s.Internal.Interface = "eth9" }),
			out: "DIR/nodes.csv: internal.interface: there is no interface eth9\n"},
		{name: "away from the rack", nodes: goodNodes, out: counted, change: func(o *factoryCheckOptions) {
			change(func(s *config.Settings) { s.ManagementMAC = rack.MAC{0x52, 0x54, 0, 0xaa, 0, 1} })(o)
			o.Interfaces = func() ([]rack.Interface, error) { return nil, errors.New("looked at interfaces") }
		}},
		{name: "password file of a node", nodes: goodNodes + "52:54:00:aa:00:06, 52:54:00:bb:00:06,,,,gone\n",
			out: "DIR/nodes.csv:7: credentials of 52:54:00:aa:00:06: credentials: open DIR/gone: no such file or directory\n"},
		{name: "network too small", nodes: goodNodes + manyServers(12),
			change: change(func(s *config.Settings) { s.Internal.Prefix = netip.MustParsePrefix("10.0.0.0/26") }),
			out:    "DIR/nodes.csv: address plan: 10.0.0.0/26 is full: 30 servers and BMCs fit, 32 are needed; a /25 would do\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := oemDir(t, []byte(tt.nodes))
			streams, _, out, _ := stdio.Test()
			o := checkOptions(streams, dir)
			if tt.change != nil {
				tt.change(&o)
			}
			err := o.run()
			if (err == nil) != (tt.out == counted) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(tt.out, "DIR", dir), out.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
		})
	}
}

// A file that this user may not read is no mistake in it.
func TestFactoryCheckPermission(t *testing.T) {
	t.Parallel()
	var r factoryReport
	r.add("oem", &fs.PathError{Op: "open", Path: "oem/ipmi_password", Err: fs.ErrPermission})
	want := []*rack.CSVError{{File: "oem/ipmi_password", Msg: "permission denied", Hint: "run it as root"}}
	if d := cmp.Diff(want, r.Errors); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
