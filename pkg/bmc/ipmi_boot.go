package bmc

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmc-toolbox/bmclib/v2/bmc"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"
)

// Bits of the boot flags' first byte, IPMI 2.0 table 28-14, parameter 5.
const (
	flagValid      = 0x80
	flagPersistent = 0x40
	flagEFI        = 0x20
)

// keepFlags is parameter 3 with all its bits: the BMC clears the valid bit for none of the five reasons, one of which
// is the 60 s that pass without a Chassis Control.
const keepFlags = 0x1f

// selectors maps boot devices to the device selector of the boot flags' second byte.
func selector(d BootDevice) (types.BootDeviceSelector, error) {
	switch d {
	case DeviceNone:
		return types.BootDeviceSelectorNoOverride, nil
	case DevicePXE:
		return types.BootDeviceSelectorForcePXE, nil
	case DeviceDisk:
		return types.BootDeviceSelectorForceHardDrive, nil
	case DeviceCDROM:
		return types.BootDeviceSelectorForceCDROM, nil
	case DeviceBIOS:
		return types.BootDeviceSelectorForceBIOSSetup, nil
	}
	return 0, fmt.Errorf("boot device %q is not known", d)
}

// device is the way back; a selector that racker never sets is named by its number.
func device(s types.BootDeviceSelector) BootDevice {
	for _, d := range []BootDevice{DeviceNone, DevicePXE, DeviceDisk, DeviceCDROM, DeviceBIOS} {
		if known, err := selector(d); err == nil && known == s {
			return d
		}
	}
	return BootDevice(fmt.Sprintf("selector %d", s))
}

// BootDeviceSet implements bmc.BootDeviceSetter. The 60 s timeout is cancelled first; a BMC without that parameter (80h, or any
// other answer but silence) still has its flags set, and the caller's read-back decides.
func (p *provider) BootDeviceSet(ctx context.Context, name string, persistent, efi bool) (bool, error) {
	err := p.setFlags(ctx, BootDevice(name), persistent, efi)
	return err == nil, p.note(err)
}

func (p *provider) setFlags(ctx context.Context, d BootDevice, persistent, efi bool) error {
	sel, err := selector(d)
	if err != nil {
		return err
	}
	var reply *types.ResponseError
	if err := p.setOption(ctx, types.BootOptionParamSelector_BMCBootFlagValidBitClear, []byte{keepFlags}); err != nil && !errors.As(err, &reply) {
		return fmt.Errorf("cancel boot flag timeout: %w", err)
	}
	flags := make([]byte, 5)
	if d != DeviceNone {
		flags[0] = flagValid
		if persistent {
			flags[0] |= flagPersistent
		}
		if efi {
			flags[0] |= flagEFI
		}
		flags[1] = byte(sel) << 2
	}
	if err := p.setOption(ctx, types.BootOptionParamSelector_BootFlags, flags); err != nil {
		return fmt.Errorf("set boot flags: %w", err)
	}
	return nil
}

// setOption sends Set System Boot Options, IPMI 2.0 section 28.12.
func (p *provider) setOption(ctx context.Context, which types.BootOptionParamSelector, data []byte) error {
	_, err := p.client.SetSystemBootOptionsParam(ctx, &chassis.SetSystemBootOptionsParamRequest{ParamSelector: which, ParamData: data})
	return err
}

// boot reads the boot flags, IPMI 2.0 section 28.13. Some BMCs send fewer than five bytes; two hold all that counts here.
func (p *provider) boot(ctx context.Context) (Boot, error) {
	reply, err := p.client.GetSystemBootOptionsParam(ctx, types.BootOptionParamSelector_BootFlags, 0, 0)
	if err != nil {
		return Boot{}, p.note(fmt.Errorf("read boot flags: %w", err))
	}
	data := reply.ParamData
	if len(data) < 2 {
		return Boot{}, p.note(fmt.Errorf("read boot flags: %d bytes, want 5", len(data)))
	}
	p.last = nil
	return Boot{
		Device:     device(types.BootDeviceSelector(data[1] >> 2 & 0x0f)),
		EFI:        data[0]&flagEFI != 0,
		Persistent: data[0]&flagPersistent != 0,
		Valid:      data[0]&flagValid != 0 && !reply.ParameterInValid,
	}, nil
}

// BootDeviceOverrideGet implements bmc.BootDeviceOverrideGetter; flags that are not valid are no override.
func (p *provider) BootDeviceOverrideGet(ctx context.Context) (bmc.BootDeviceOverride, error) {
	b, err := p.boot(ctx)
	if err != nil {
		return bmc.BootDeviceOverride{}, err
	}
	if !b.Valid {
		return bmc.BootDeviceOverride{Device: bmc.BootDeviceTypeNone}, nil
	}
	return bmc.BootDeviceOverride{Device: bmc.BootDeviceType(b.Device), IsPersistent: b.Persistent, IsEFIBoot: b.EFI}, nil
}
