package hwinfo

import (
	"context"
	"errors"
	"fmt"
)

// Set System Boot Options and its parameters (IPMI v2.0, 28.12 and 28.13, tables 28-14).
const (
	netFnChassis      = 0x00
	cmdSetBootOptions = 0x08
	paramFlagClearing = 3
	paramBootFlags    = 5
	keepFlags         = 0x1f // none of the events clears the flags
	flagsValid        = 0x80
	flagsPersistent   = 0x40
	flagsEFI          = 0x20
	deviceDisk        = 0x08 // force boot from the default hard drive
)

// BootFromDisk makes the disk the boot device of all boots, in-band: by the machine's own BMC, whatever its network is like. The error
// matches ErrNoBMC when there is no BMC device.
func (r Reader) BootFromDisk(ctx context.Context, efi bool) error {
	path, err := r.bmcDevice(ctx)
	if err != nil {
		return err
	}
	d, err := openIPMI(path)
	if err != nil {
		return fmt.Errorf("set the boot device at the BMC: %w", err)
	}
	if err := errors.Join(bootFromDisk(ctx, d, efi), d.close()); err != nil {
		return fmt.Errorf("set the boot device at the BMC: %w", err)
	}
	return nil
}

func bootFromDisk(ctx context.Context, e exchanger, efi bool) error {
	// Without it the flags go after 60 s. Some BMCs do not know the parameter; the flags count all the same.
	if _, err := ask(ctx, e, netFnChassis, cmdSetBootOptions, paramFlagClearing, keepFlags); err != nil {
		return err
	}
	flags := byte(flagsValid | flagsPersistent)
	if efi {
		flags |= flagsEFI
	}
	answer, err := ask(ctx, e, netFnChassis, cmdSetBootOptions, paramBootFlags, flags, deviceDisk, 0, 0, 0)
	if err != nil {
		return err
	}
	if answer[0] != codeOK {
		return fmt.Errorf("the BMC answers %02xh", answer[0])
	}
	return nil
}
