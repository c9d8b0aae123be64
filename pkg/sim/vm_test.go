package sim_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/internal/vmtest"
	"github.com/racker-project/racker/pkg/sim"
)

// oneServer is a rack whose only server's BMC has an address without DHCP.
const oneServer = `Primary MAC address, BMC MAC address, Secondary MAC address, Node Type, Comments, BMC Address
52:54:00:00:00:01, 52:54:00:00:01:01, 52:54:00:00:02:01, mgmt, management node,
52:54:00:00:00:11, 52:54:00:00:01:11, 52:54:00:00:02:11, compute, , 172.24.213.100
`

// system is an operating system of one sector: it prints the year of the battery-backed clock, sets it to 15, and resets.
//
//	      xor %ax,%ax; mov %ax,%ds; mov %ax,%ss; mov $0x7c00,%sp; mov $msg,%si
//	next: lodsb; test %al,%al; jz year; call put; jmp next
//	year: mov $9,%al; out %al,$0x70; in $0x71,%al; push %ax; shr $4,%al; call digit; pop %ax; and $15,%al; call digit
//	      mov $10,%al; call put
//	      mov $9,%al; out %al,$0x70; mov $0x15,%al; out %al,$0x71
//	      mov $0xcf9,%dx; mov $6,%al; out %al,%dx
//	halt: hlt; jmp halt
//	digit: add $0x30,%al
//	put:  mov $0x3f8,%dx; out %al,%dx; ret
//	msg:  .asciz "\nthe clock's year is "
const system = "\x31\xc0\x8e\xd8\x8e\xd0\xbc\x00\x7c\xbe\x46\x7c" +
	"\xac\x84\xc0\x74\x05\xe8\x2d\x00\xeb\xf6\xb0\x09" +
	"\xe6\x70\xe4\x71\x50\xc0\xe8\x04\xe8\x1c\x00\x58" +
	"\x24\x0f\xe8\x16\x00\xb0\x0a\xe8\x13\x00\xb0\x09" +
	"\xe6\x70\xb0\x15\xe6\x71\xba\xf9\x0c\xb0\x06\xee" +
	"\xf4\xeb\xfd\x04\x30\xba\xf8\x03\xee\xc3" + "\nthe clock's year is \x00"

// requireRoot skips a test that has to run in the process's own namespaces.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and taps")
	}
}

// systemDisk writes a disk image that boots system.
func systemDisk(t *testing.T) string {
	t.Helper()
	sector := make([]byte, 512)
	copy(sector, system)
	sector[510], sector[511] = 0x55, 0xaa
	name := filepath.Join(t.TempDir(), "system.img")
	if err := os.WriteFile(name, sector, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A guest's own reset is a boot of its own that reads the BMC's boot device again, and the clock that the guest has set
// goes on through it.
func TestGuestResetReadsTheBootDeviceAgain(t *testing.T) {
	requireRoot(t)
	checkGuestReset(t, vmtest.StartAlways(t, systemRack(t, sim.BusVirtio)))
}

func TestVMDiskBuses(t *testing.T) {
	for _, bus := range []string{sim.BusSATA, sim.BusNVMe} {
		t.Run(bus, func(t *testing.T) { checkGuestReset(t, vmtest.Start(t, systemRack(t, bus))) })
	}
}

// systemRack has one server that boots system from its disk.
func systemRack(t *testing.T, bus string) vmtest.Rack {
	t.Helper()
	return vmtest.Rack{Nodes: oneServer, Address: true, Settings: `
nodes:
  node-1: {boot_order: disk, rtc: 2010-06-01T00:00:00Z, disk_bus: ` + bus + `, disks: [{size: 16M, fill: ` + systemDisk(t) + `}]}
`}
}

func checkGuestReset(t *testing.T, r *vmtest.Running) {
	t.Helper()
	r.Power("node-1", sim.OrderOn)
	r.WaitConsole(time.Minute, "node-1", "the clock's year is 10", 1)
	r.WaitConsole(time.Minute, "node-1", "the clock's year is 15", 1)
	r.MustRun(context.Background(), "ipmitool", "-I", "lanplus", "-H", "172.24.213.100", "-U", "USER", "-P", "PASS", "chassis", "bootdev", "pxe")
	r.WaitState(time.Minute, sim.StateNetboot, "node-1")
	if n := r.Node("node-1"); n.Boots < 3 || n.Power != "on" {
		t.Errorf("after two resets and a network boot: %+v", n)
	}
}

// OVMF tries the network first or the disk first as the BMC wants, and both ways of network boot ask for an address.
func TestVMUEFIBootOrder(t *testing.T) {
	r := vmtest.Start(t, vmtest.Rack{Nodes: oneServer, Address: true, Settings: "nodes: {node-1: {firmware: uefi}}"})
	r.Power("node-1", sim.OrderOn)
	r.WaitConsole(time.Minute, "node-1", ">>Start PXE over IPv4", 1)
	r.WaitState(time.Second, sim.StateNetboot, "node-1")
	r.MustRun(context.Background(), "ipmitool", "-I", "lanplus", "-H", "172.24.213.100", "-U", "USER", "-P", "PASS",
		"chassis", "bootdev", "disk", "options=efiboot")
	r.Power("node-1", sim.OrderReset)
	// The disk is empty: its entry fails, and the network is next.
	r.WaitConsole(time.Minute, "node-1", ">>Start PXE over IPv4", 2)
	b, err := os.ReadFile(r.Folder.Console("node-1"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), ">>Start PXE over IPv4")
	if strings.Contains(parts[0], "Misc Device") || !strings.Contains(parts[1], `failed to load Boot0001 "UEFI Misc Device"`) {
		t.Errorf("the disk was not tried first exactly at the second start:\n%q", parts)
	}
}

// The default rack's servers all get as far as asking for an address.
func TestVMDefaultRack(t *testing.T) {
	r := vmtest.Start(t, vmtest.Rack{PowerOn: true})
	r.WaitState(2*time.Minute, sim.StateNetboot, "node-1", "node-2", "node-3")
	for _, n := range r.Status().Nodes {
		if n.Power != "on" || n.Boots != 1 || n.Installs != 0 {
			t.Errorf("a server that was switched on once: %+v", n)
		}
	}
}
