package vbmc

import (
	"fmt"
	"sync"
	"time"
)

// Boot is the boot override as a firmware reads it.
type Boot struct {
	Device     string // DevicePXE, ..., or "" for the firmware's own order
	EFI        bool   // a UEFI boot is asked for
	Persistent bool   // for all boots, not only the next
	Valid      bool   // false: no override
}

// Devices of Boot.
const (
	DevicePXE   = "pxe"
	DeviceDisk  = "disk"
	DeviceCDROM = "cdrom"
	DeviceBIOS  = "bios"
)

// flagTimeout is how long boot flags stay valid without a Chassis Control, IPMI 2.0 table 28-14, parameter 3.
const flagTimeout = 60 * time.Second

// Bits of the boot flags and of parameter 3.
const (
	bitValid      = 0x80 // boot flags, first byte
	bitPersistent = 0x40
	bitEFI        = 0x20
	keepOnTimeout = 0x08 // parameter 3
)

// bootFlags holds the boot option parameters.
type bootFlags struct {
	now func() time.Time

	mu       sync.Mutex
	progress byte    // parameter 0
	keep     byte    // parameter 3
	ack      [2]byte // parameter 4
	flags    [5]byte // parameter 5
	since    time.Time
}

// current gives the flags, with the valid bit cleared where the timeout has passed. The caller holds mu.
func (f *bootFlags) current() [5]byte {
	if f.flags[0]&bitValid != 0 && f.keep&keepOnTimeout == 0 && f.now().Sub(f.since) >= flagTimeout {
		f.flags[0] &^= bitValid
	}
	return f.flags
}

// set stores flags and starts the timeout.
func (f *bootFlags) set(data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flags = [5]byte{}
	copy(f.flags[:], data)
	f.since = f.now()
}

// touch restarts the timeout: a Chassis Control came.
func (f *bootFlags) touch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current()
	f.since = f.now()
}

// read gives the flags.
func (f *bootFlags) read() [5]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current()
}

// take gives the flags and clears those that were for one boot.
func (f *bootFlags) take() [5]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	flags := f.current()
	if flags[0]&bitPersistent == 0 {
		f.flags = [5]byte{}
	}
	return flags
}

// decode reads flags.
func decode(flags [5]byte) Boot {
	if flags[0]&bitValid == 0 {
		return Boot{}
	}
	b := Boot{EFI: flags[0]&bitEFI != 0, Persistent: flags[0]&bitPersistent != 0, Valid: true}
	switch selector := flags[1] >> 2 & 0x0f; selector {
	case 0:
	case 1:
		b.Device = DevicePXE
	case 2, 3:
		b.Device = DeviceDisk
	case 5:
		b.Device = DeviceCDROM
	case 6:
		b.Device = DeviceBIOS
	default:
		b.Device = fmt.Sprintf("selector %d", selector)
	}
	return b
}

// Boot is the override that the next boot will find; nothing changes.
func (b *BMC) Boot() Boot { return decode(b.flags.read()) }

// StartBoot is what a firmware does at each start, whether power came on, a reset came, or the guest itself rebooted: it reads the
// override, and one that is for a single boot is gone afterwards.
func (b *BMC) StartBoot() Boot {
	boot := decode(b.flags.take())
	b.log.Info("firmware read the boot device", "state", boot.Device)
	return boot
}
