package bmc

import "fmt"

// BootDevice is where a server boots from next.
type BootDevice string

// Boot devices. DeviceNone means no override: the firmware's own order.
const (
	DeviceNone  BootDevice = "none"
	DevicePXE   BootDevice = "pxe"
	DeviceDisk  BootDevice = "disk"
	DeviceCDROM BootDevice = "cdrom"
	DeviceBIOS  BootDevice = "bios"
)

// Boot is the boot override of a server: boot flags of IPMI 2.0 table 28-14, parameter 5.
type Boot struct {
	Device BootDevice
	// EFI asks for a UEFI boot; without it the flags ask for a BIOS boot.
	EFI bool
	// Persistent applies to all boots to come, else only to the next one.
	Persistent bool
	// Valid is set in what is read when the flags count at all. It is ignored in what is set: DeviceNone clears the flags.
	Valid bool
}

// String gives the override for a person: "pxe, UEFI, once".
func (b Boot) String() string {
	if !b.Valid && b.Device == DeviceNone || b.Device == "" {
		return "no override"
	}
	firmware, times := "BIOS", "once"
	if b.EFI {
		firmware = "UEFI"
	}
	if b.Persistent {
		times = "always"
	}
	s := fmt.Sprintf("%s, %s, %s", b.Device, firmware, times)
	if !b.Valid {
		s += ", not valid"
	}
	return s
}

// same tells whether reading is what was asked for.
func (b Boot) same(reading Boot) bool {
	if b.Device == DeviceNone {
		return !reading.Valid || reading.Device == DeviceNone
	}
	b.Valid = true
	return b == reading
}
