package sim_test

import (
	"context"
	"os"
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

// requireRoot skips a test that has to run in the process's own namespaces.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and taps")
	}
}

// A guest's own reset is a boot of its own that reads the BMC's boot device again, and the clock that the guest has set
// goes on through it.
func TestGuestResetReadsTheBootDeviceAgain(t *testing.T) {
	requireRoot(t)
	checkGuestReset(t, vmtest.StartAlways(t, systemRack(t, clockSystem, sim.BusVirtio)))
}

func TestVMDiskBuses(t *testing.T) {
	for _, bus := range []string{sim.BusSATA, sim.BusNVMe} {
		t.Run(bus, func(t *testing.T) { checkGuestReset(t, vmtest.Start(t, systemRack(t, clockSystem, bus))) })
	}
}

// A server reaches its own BMC through its IPMI device.
func TestInBandBMC(t *testing.T) {
	requireRoot(t)
	r := vmtest.StartAlways(t, systemRack(t, bmcSystem, sim.BusVirtio))
	r.Power("node-1", sim.OrderOn)
	// NetFn App response, Get Device ID, completion code 0, device 20h.
	r.WaitConsole(time.Minute, "node-1", "1c010020", 1)
}

// systemRack has one server that boots a system from its disk.
func systemRack(t *testing.T, system, bus string) vmtest.Rack {
	t.Helper()
	return vmtest.Rack{Nodes: oneServer, Address: true, Settings: `
nodes:
  node-1: {boot_order: disk, rtc: 2010-06-01T00:00:00Z, disk_bus: ` + bus + `, disks: [{size: 16M, fill: ` + bootDisk(t, system) + `}]}
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
