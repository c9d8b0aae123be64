package serve

import (
	"context"
	"errors"
	"net/netip"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/rack"
)

// ipmiPort is the port of IPMI over LAN (RMCP).
const ipmiPort = 623

// bmcs gives the state machine the BMC client, with the credentials of each node. They are read anew for each order, so
// that a change of the files needs no restart.
type bmcs struct {
	client *bmc.Client
	oemDir string
}

func (b *bmcs) target(n *rack.Node, addr netip.Addr) (bmc.Target, error) {
	c, err := rack.ReadCredentials(b.oemDir)
	if err != nil {
		return bmc.Target{}, err
	}
	if c, err = c.For(n, b.oemDir); err != nil {
		return bmc.Target{}, err
	}
	return bmc.At(n.Where(), netip.AddrPortFrom(addr, ipmiPort), c.User, bmc.Secret(c.Password.Reveal())), nil
}

// Power implements provision.BMCs.
func (b *bmcs) Power(ctx context.Context, n *rack.Node, addr netip.Addr) (api.Power, error) {
	t, err := b.target(n, addr)
	if err != nil {
		return api.PowerUnknown, err
	}
	return b.client.Power(ctx, t)
}

// SetPower implements provision.BMCs.
func (b *bmcs) SetPower(ctx context.Context, n *rack.Node, addr netip.Addr, on bool) error {
	t, err := b.target(n, addr)
	if err != nil {
		return err
	}
	return b.client.SetPower(ctx, t, on)
}

// SoftOff implements provision.BMCs.
func (b *bmcs) SoftOff(ctx context.Context, n *rack.Node, addr netip.Addr) error {
	t, err := b.target(n, addr)
	if err != nil {
		return err
	}
	return b.client.SoftOff(ctx, t)
}

// SetBoot implements provision.BMCs.
func (b *bmcs) SetBoot(ctx context.Context, n *rack.Node, addr netip.Addr, network, efi bool) error {
	t, err := b.target(n, addr)
	if err != nil {
		return err
	}
	device := bmc.DeviceDisk
	if network {
		device = bmc.DevicePXE
	}
	return b.client.SetBoot(ctx, t, bmc.Boot{Device: device, EFI: efi, Persistent: true, Valid: true})
}

// Silent implements provision.BMCs.
func (b *bmcs) Silent(err error) bool { return errors.Is(err, bmc.ErrUnreachable) }

// Refused implements provision.BMCs.
func (b *bmcs) Refused(err error) bool { return errors.Is(err, bmc.ErrAuth) }
