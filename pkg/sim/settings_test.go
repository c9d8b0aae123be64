package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/rack"
)

// testRack has a management node and three servers.
func testRack(t *testing.T) *rack.Rack {
	t.Helper()
	folder := Folder(t.TempDir())
	if err := folder.WriteOEM(""); err != nil {
		t.Fatal(err)
	}
	r, err := folder.ReadNodes((&Settings{}).prefix())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDefaultRack(t *testing.T) {
	r := testRack(t)
	var names []string
	for _, n := range r.Servers() {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"node-1", "node-2", "node-3"}, names); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	machines, err := (&Settings{}).machines(r)
	if err != nil {
		t.Fatal(err)
	}
	want := Machine{
		Firmware: FirmwareBIOS, Memory: 1024, CPUs: 1, DiskBus: BusVirtio, Order: OrderNetwork, Serial: "SIM000011",
		Disks: []Disk{{Size: 4 * gib, Serial: "SIM000011-0"}, {Size: 6 * gib, Serial: "SIM000011-1"}},
	}
	if diff := cmp.Diff(want, machines["node-1"]); diff != "" {
		t.Errorf("node-1 (-want +got):\n%s", diff)
	}
	if m := machines["node-2"]; m.Firmware != FirmwareUEFI {
		t.Errorf("node-2 has %s firmware, want %s", m.Firmware, FirmwareUEFI)
	}
	if m := machines["node-3"]; m.Disks[0].Fill == FillNone || m.Disks[1].Fill == FillNone {
		t.Errorf("node-3 has an empty disk: %+v", m.Disks)
	}
}

func TestMTU(t *testing.T) {
	for given, want := range map[int]int{0: 1500, 9000: 9000, 1499: 0, 9217: 0} {
		if got, err := (&Settings{MTU: given}).mtu(); got != want || (err == nil) != (want != 0) {
			t.Errorf("mtu %d: %d, %v", given, got, err)
		}
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name, text string
		check      func(Machine) bool // of node-1
		err        string             // part of the error; empty for none
	}{
		{name: "by MAC", text: "nodes: {'52-54-00-00-00-11': {firmware: uefi}}", check: func(m Machine) bool { return m.Firmware == FirmwareUEFI && m.Memory == 1024 }},
		{name: "sizes", text: "nodes: {node-1: {disks: [{size: 3G}, {size: 512M}, {size: 2097152}]}}", check: func(m Machine) bool {
			return m.Disks[0].Size == 3*gib && m.Disks[1].Size == 512*mib && m.Disks[2].Size == 2*mib
		}},
		{name: "no disks", text: "nodes: {node-1: {disks: []}}", check: func(m Machine) bool { return len(m.Disks) == 0 }},
		{name: "clock", text: "nodes: {node-1: {rtc: 2010-01-01}}", check: func(m Machine) bool { return m.RTC.Year() == 2010 }},
		{name: "serials", text: "nodes: {node-1: {serial: ABC, disks: [{serial: D0}]}}", check: func(m Machine) bool { return m.Serial == "ABC" && m.Disks[0].Serial == "D0" }},
		{name: "HTTP boot", text: "nodes: {node-1: {firmware: uefi, http_boot: true}}", check: func(m Machine) bool { return m.HTTPBoot }},
		{name: "further NICs", text: "nodes: {node-1: {nics: ['02-00-00-00-00-01', '02:00:00:00:00:02']}}", check: func(m Machine) bool {
			return len(m.NICs) == 2 && m.NICs[0] == rack.MAC{2, 0, 0, 0, 0, 1}
		}},
		{name: "too many NICs", text: "nodes: {node-1: {nics: ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03']}}", err: "3 nics"},
		{name: "no MAC", text: "nodes: {node-1: {nics: [eth2]}}", err: "eth2"},
		{name: "unknown key", text: "nodes: {node-1: {memroy: 512}}", err: "memroy"},
		{name: "unknown node", text: "nodes: {node-9: {memory: 512}}", err: `"node-9" names no server`},
		{name: "management node", text: "nodes: {'52:54:00:00:00:01': {memory: 512}}", err: "names no server"},
		{name: "firmware", text: "nodes: {node-1: {firmware: coreboot}}", err: `settings of node-1: firmware "coreboot": want one of bios, uefi`},
		{name: "HTTP boot in BIOS", text: "nodes: {node-1: {http_boot: true}}", err: "only UEFI"},
		{name: "memory", text: "nodes: {node-1: {memory: 16}}", err: "memory 16"},
		{name: "size", text: "nodes: {node-1: {disks: [{size: big}]}}", err: `line 1: size "big"`},
		{name: "size too large for a number", text: "nodes: {node-1: {disks: [{size: 9999999999G}]}}", err: "9999999999G"},
		{name: "half a sector", text: "nodes: {node-1: {disks: [{size: 1048577}]}}", err: "whole sectors"},
		{name: "comma in a serial", text: "nodes: {node-1: {serial: 'a,if=none'}}", err: "serial"},
		{name: "long disk serial", text: "nodes: {node-1: {disks: [{serial: 123456789012345678901}]}}", err: "20 bytes"},
		{name: "no YAML", text: "nodes: [", err: "sim.yaml"},
	}
	r := testRack(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "sim.yaml")
			if err := os.WriteFile(name, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var machines map[string]Machine
			s, err := ReadSettings(name)
			if err == nil {
				machines, err = s.machines(r)
			}
			switch {
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v, want %q in it", err, test.err)
			case test.err == "" && err != nil:
				t.Errorf("unexpected error %v", err)
			case test.err == "" && !test.check(machines["node-1"]):
				t.Errorf("node-1 is %+v", machines["node-1"])
			}
		})
	}
}
