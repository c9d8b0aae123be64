package hwinfo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// ErrNoBMC says that the machine shows no BMC to its operating system.
var ErrNoBMC = errors.New("no BMC device")

const (
	bmcDeviceWait = 5 * time.Second // for the node, after the driver found hardware
	bmcDevicePoll = 100 * time.Millisecond
	bmcTimeout    = 5 * time.Second // per request; BMCs right after their own start are slow
)

// Requests and codes of IPMI v2.0, 20.1, 22.24, 23.2 and 5.2.
const (
	netFnApp         = 0x06
	netFnTransport   = 0x0c
	cmdChannelInfo   = 0x42
	cmdLANParameters = 0x02
	paramMAC         = 5
	mediumLAN        = 0x04 // IEEE 802.3
	lastChannel      = 0x0b
	codeOK           = 0x00
)

// exchanger sends one request to the BMC and gives the answer, which begins with the completion code.
type exchanger interface {
	exchange(ctx context.Context, netFn, cmd byte, data []byte) ([]byte, error)
}

// BMCMAC asks the BMC, in-band, for the MAC of its first LAN channel that has one: lower case, with colons. When the
// driver has found a BMC but its device node is not there yet, it waits for that up to 5 s. The error matches ErrNoBMC
// when there is no BMC device.
func (r Reader) BMCMAC(ctx context.Context) (string, error) {
	path, err := r.bmcDevice(ctx)
	if err != nil {
		return "", err
	}
	d, err := openIPMI(path)
	if err != nil {
		return "", fmt.Errorf("ask the BMC for its MAC: %w", err)
	}
	mac, err := lanMAC(ctx, d)
	if err := errors.Join(err, d.close()); err != nil {
		return "", fmt.Errorf("ask the BMC for its MAC: %w", err)
	}
	return mac.String(), nil
}

// bmcDevice finds the device node of the first BMC.
func (r Reader) bmcDevice(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bmcDeviceWait)
	defer cancel()
	for {
		for _, name := range []string{"ipmi0", "ipmi/0", "ipmidev/0"} {
			_, err := os.Stat(r.dev(name))
			if err == nil {
				return r.dev(name), nil
			}
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
				return "", fmt.Errorf("find the BMC: %w", err)
			}
		}
		if !r.bmcBound() {
			return "", ErrNoBMC
		}
		select {
		case <-time.After(bmcDevicePoll):
		case <-ctx.Done():
			return "", fmt.Errorf("%w: a driver found a BMC, but %s does not appear", ErrNoBMC, r.dev("ipmi0"))
		}
	}
}

// bmcBound reports whether a driver of the IPMI system interface has hardware.
func (r Reader) bmcBound() bool {
	for _, pattern := range []string{
		"class/ipmi/*", "bus/platform/drivers/ipmi_si/*/driver_override", "bus/pci/drivers/ipmi_si/*/vendor",
		"bus/platform/drivers/dmi-ipmi-ssif/*/driver_override", "bus/i2c/drivers/ipmi_ssif/*/name",
	} {
		if found, err := filepath.Glob(r.sys(pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// lanMAC asks every channel that is, or may be, a LAN for its MAC.
func lanMAC(ctx context.Context, e exchanger) (net.HardwareAddr, error) {
	var last error
	for channel := byte(1); channel <= lastChannel; channel++ {
		info, err := ask(ctx, e, netFnApp, cmdChannelInfo, channel)
		if err != nil {
			return nil, err
		}
		// Answer: code, channel, medium, ... A BMC that does not tell the medium is asked all the same.
		if info[0] == codeOK && len(info) >= 3 && info[2]&0x7f != mediumLAN {
			continue
		}
		answer, err := ask(ctx, e, netFnTransport, cmdLANParameters, channel, paramMAC, 0, 0)
		if err != nil {
			return nil, err
		}
		if answer[0] != codeOK || len(answer) < 8 {
			last = fmt.Errorf("channel %d answers %x", channel, answer)
			continue
		}
		if mac := net.HardwareAddr(answer[2:8]); mac[0]&1 == 0 && [6]byte(mac) != [6]byte{} {
			return mac, nil
		}
	}
	return nil, errors.Join(errors.New("no LAN channel has a MAC"), last)
}

func ask(ctx context.Context, e exchanger, netFn, cmd byte, data ...byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bmcTimeout)
	defer cancel()
	answer, err := e.exchange(ctx, netFn, cmd, data)
	if err == nil && len(answer) == 0 {
		err = errors.New("empty answer")
	}
	if err != nil {
		return nil, fmt.Errorf("IPMI request %02xh of function %02xh: %w", cmd, netFn, err)
	}
	return answer, nil
}
