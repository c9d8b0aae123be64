package vbmc

import (
	"context"

	"github.com/bougou/go-ipmi/pkg/hal"
	"github.com/bougou/go-ipmi/pkg/types"
)

// hardware is what go-ipmi's BMC sees of ours: a chassis and a network interface.
type hardware struct{ b *BMC }

// The parts that go-ipmi asks for. Those that are not there are nil.
func (h hardware) Chassis() hal.ChassisHAL { return chassis(h) }
func (h hardware) Network() hal.NetworkHAL { return network(h) }
func (h hardware) Sensors() hal.SensorHAL  { return nil }
func (h hardware) Storage() hal.StorageHAL { return nil }
func (h hardware) GPIO() hal.GPIOHAL       { return nil }
func (h hardware) I2C() hal.I2CHAL         { return nil }
func (h hardware) Console() hal.ConsoleHAL { return nil }
func (h hardware) Close() error            { return nil }

// chassis implements hal.ChassisHAL. Boot options do not come this way: see commands.go.
type chassis struct{ b *BMC }

func (c chassis) PowerState(context.Context) (bool, error) { return c.b.host.PowerState(), nil }

func (c chassis) SetPower(ctx context.Context, on bool) error {
	what := "off"
	if on {
		what = "on"
	}
	return c.b.order(ctx, what, func() error { return c.b.host.SetPower(on) })
}

// PowerCycle does nothing to a machine that is off, IPMI 2.0 section 28.3.
func (c chassis) PowerCycle(ctx context.Context) error {
	return c.b.orderIfOn(ctx, "cycle", func() error {
		if err := c.b.host.SetPower(false); err != nil {
			return err
		}
		return c.b.host.SetPower(true)
	})
}

// ColdReset is the hard reset of Chassis Control.
func (c chassis) ColdReset(ctx context.Context) error {
	return c.b.orderIfOn(ctx, "reset", c.b.host.Reset)
}

// WarmReset is the soft shutdown of Chassis Control.
func (c chassis) WarmReset(ctx context.Context) error {
	return c.b.orderIfOn(ctx, "soft", func() error {
		c.b.host.SoftOff()
		return nil
	})
}

func (chassis) Identify(context.Context, uint8) error { return nil }

func (chassis) IntrusionState(context.Context) (bool, error) { return false, hal.ErrNotSupported }

func (chassis) SetBootFlags(context.Context, *types.BootOptionParam_BootFlags) error {
	return hal.ErrNotSupported
}

func (chassis) GetBootFlags(context.Context) (*types.BootOptionParam_BootFlags, error) {
	return nil, hal.ErrNotSupported
}

func (chassis) SetBootInfoAcknowledge(context.Context, *types.BootOptionParam_BootInfoAcknowledge) error {
	return hal.ErrNotSupported
}

func (chassis) GetBootInfoAcknowledge(context.Context) (*types.BootOptionParam_BootInfoAcknowledge, error) {
	return nil, hal.ErrNotSupported
}

// network implements hal.NetworkHAL; the configuration comes from DHCP and cannot be set.
type network struct{ b *BMC }

func (n network) GetConfig(context.Context) (*hal.IPConfig, error) {
	n.b.mu.Lock()
	defer n.b.mu.Unlock()
	cfg := &hal.IPConfig{MAC: n.b.cfg.MAC, DHCP: n.b.lan.dhcp, Port: n.b.addr.Port()}
	if p := n.b.lan.address; p.IsValid() && p.Addr().Is4() {
		cfg.IP = p.Addr().As4()
		for i := range p.Bits() {
			cfg.Mask[i/8] |= 0x80 >> (i % 8)
		}
	}
	if g := n.b.lan.gateway; g.Is4() {
		cfg.Gateway = g.As4()
	}
	return cfg, nil
}

func (network) SetConfig(context.Context, *hal.IPConfig) error { return hal.ErrNotSupported }
