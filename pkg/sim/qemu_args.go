package sim

import (
	"crypto/sha1" // for a name-based UUID (RFC 9562 5.5), not a signature
	"fmt"
	"strconv"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	qemuProgram = "qemu-system-x86_64"
	tunDevice   = "/dev/net/tun"
	// diskPrefix begins QEMU's name of a disk; its number follows.
	diskPrefix = "disk"
	// primaryNetdev is QEMU's name of the primary NIC's cable.
	primaryNetdev = "nic0"

	// The build of OVMF of Debian's package ovmf.
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// Files in a server's folder, which is QEMU's working directory: relative names stay below the length limit of unix
// socket addresses and need no escaping on QEMU's command line.
const (
	varsFile     = "vars.fd"
	serialLog    = "serial.log"
	serialSocket = "serial.sock"
	inBandSocket = "ipmi.sock"
	qemuLog      = "qemu.log"
)

// launch is what changes from one start of a server to the next.
type launch struct {
	diskFirst bool
	// clock is what the battery-backed clock says at the start; zero means the host's time.
	clock time.Time
	// inBand gives the guest an IPMI device of its own.
	inBand bool
	// File descriptors as QEMU sees them.
	monitorFD, primaryFD, secondaryFD int
	furtherFDs                        []int // of Machine.NICs
}

// qemuArgs is QEMU's command line for the server n.
func qemuArgs(n *rack.Node, m Machine, l launch) []string {
	args := []string{
		"-name", "racker-sim-" + n.Primary.String(),
		"-machine", "q35,graphics=off,vmport=off",
		"-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max",
		"-m", strconv.Itoa(m.Memory), "-smp", strconv.Itoa(m.CPUs),
		"-nodefaults", "-no-user-config", "-display", "none",
		// A guest's reset ends this QEMU, so that the next one reads the boot device from the BMC again. Pausing keeps
		// QEMU there until the supervisor has read why, and how much was written.
		"-action", "reboot=shutdown,shutdown=pause",
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", l.monitorFD),
		"-mon", "chardev=qmp,mode=control",
		"-chardev", "socket,id=serial0,path=" + serialSocket + ",server=on,wait=off,logfile=" + serialLog + ",logappend=on",
		"-serial", "chardev:serial0",
		"-smbios", fmt.Sprintf("type=1,manufacturer=racker-sim,product=%s,serial=%s,uuid=%s", m.Firmware, m.Serial, machineUUID(n.Primary)),
		"-object", "rng-builtin,id=rng0", "-device", "virtio-rng-pci,rng=rng0",
		// Firmware that found nothing to boot tries again, as servers do.
		"-boot", "strict=on,reboot-timeout=20000",
		"-rtc", rtcArg(l.clock),
	}
	args = append(args, firmwareArgs(m)...)
	args = append(args, nicArgs(n, m, l)...)
	args = append(args, diskArgs(m, l)...)
	if l.inBand {
		// QEMU 7.2 crashes when the BMC is connected before its device is complete, so it waits for the BMC to connect.
		args = append(args,
			"-chardev", "socket,id=ipmi,server=on,wait=off,path="+inBandSocket,
			"-device", "ipmi-bmc-extern,id=bmc0,chardev=ipmi",
			"-device", "isa-ipmi-kcs,bmc=bmc0")
	}
	return args
}

func rtcArg(clock time.Time) string {
	if clock.IsZero() {
		return "base=utc,clock=host"
	}
	return "base=" + clock.UTC().Format("2006-01-02T15:04:05") + ",clock=host"
}

func firmwareArgs(m Machine) []string {
	if m.Firmware != FirmwareUEFI {
		return nil
	}
	args := []string{
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + ovmfCode,
		"-drive", "if=pflash,format=raw,unit=1,file=" + varsFile,
		"-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no",
	}
	if m.HTTPBoot {
		args = append(args, "-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no")
	}
	return args
}

// nicArgs connects the primary NIC to the internal and the secondary to the public network. The firmware boots only from
// the primary: in BIOS by the iPXE of QEMU's option ROM, in UEFI by OVMF's own PXE, for which the ROM must stay out.
func nicArgs(n *rack.Node, m Machine, l launch) []string {
	rom := ""
	if m.Firmware == FirmwareUEFI {
		rom = ",romfile="
	}
	index := 1
	if l.diskFirst {
		index = len(m.Disks) + 1
	}
	args := []string{
		"-netdev", fmt.Sprintf("tap,id=%s,fd=%d", primaryNetdev, l.primaryFD),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,mac=%s,bootindex=%d%s", primaryNetdev, n.Primary, index, rom),
	}
	if !n.Secondary.IsZero() {
		args = append(args,
			"-netdev", fmt.Sprintf("tap,id=nic1,fd=%d", l.secondaryFD),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=nic1,mac=%s,romfile=", n.Secondary))
	}
	for i, fd := range l.furtherFDs {
		args = append(args,
			"-netdev", fmt.Sprintf("tap,id=nic%d,fd=%d", 2+i, fd),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=nic%d,mac=%s,romfile=", 2+i, m.NICs[i]))
	}
	return args
}

func diskArgs(m Machine, l launch) []string {
	var args []string
	first := 2
	if l.diskFirst {
		first = 1
	}
	for i, d := range m.Disks {
		name := diskPrefix + strconv.Itoa(i)
		var device string
		switch m.DiskBus {
		case BusNVMe:
			device = "nvme"
		case BusSATA:
			device = fmt.Sprintf("ide-hd,bus=ide.%d", i)
		default:
			device = "virtio-blk-pci"
		}
		// unsafe: a flush costs seconds of the host's disk and guards only against the host's own crash.
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=%s,format=raw,cache=unsafe,discard=unmap,file=%s", name, diskFile(i)),
			"-device", fmt.Sprintf("%s,drive=%s,serial=%s,bootindex=%d", device, name, d.Serial, first+i))
	}
	return args
}

func diskFile(i int) string { return diskPrefix + strconv.Itoa(i) + ".raw" }

// machineUUID makes the SMBIOS UUID of the server with this primary MAC: always the same one, as a mainboard's is.
func machineUUID(mac rack.MAC) string {
	h := sha1.Sum(append([]byte("racker-sim machine "), mac[:]...))
	h[6] = h[6]&0x0f | 0x50
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
