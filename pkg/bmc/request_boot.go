package bmc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// bootSettle is how long a BMC may take until boot flags that it accepted read back.
const bootSettle = 3 * time.Second

// Boot reads the boot override. Errors as Check.
func (c *Client) Boot(ctx context.Context, t Target) (Boot, error) {
	var b Boot
	err := c.do(ctx, t, "read its boot device", func(ctx context.Context, s *session) (err error) {
		b, err = s.boot(ctx)
		return err
	})
	return b, err
}

// SetBoot sets the boot override, cancels the timeout of 60 s that would clear it, and reads it back; what reads back otherwise
// is an error that matches ErrNotApplied and says what it reads. Else errors as Check. It is safe to repeat.
func (c *Client) SetBoot(ctx context.Context, t Target, b Boot) error {
	if _, err := selector(b.Device); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	b.Valid = b.Device != DeviceNone
	return c.do(ctx, t, "set its boot device", func(ctx context.Context, s *session) error {
		err := c.applyBoot(ctx, t, s, b)
		if !errors.Is(err, errBare) {
			return err
		}
		if err := c.probeBare(ctx, t, s, b); err != nil {
			return err
		}
		s.state.bare = true
		return nil
	})
}

// errBare says that a reading has the device that was set, and none of its flags.
var errBare = errors.New("device without flags")

// applyBoot sets b and reads until it is there.
func (c *Client) applyBoot(ctx context.Context, t Target, s *session, b Boot) error {
	if _, err := s.lib.SetBootDevice(ctx, string(b.Device), b.Persistent, b.EFI); err != nil {
		return s.failed(err)
	}
	return c.settle(ctx, t, "boot device "+b.String(), min(bootSettle, c.cfg.Settle), func() (bool, string, error) {
		now, err := s.boot(ctx)
		switch {
		case err != nil:
			return false, "", err
		case b.same(now):
			return true, "", nil
		case now == (Boot{Device: b.Device}) && s.state.bare:
			return true, "", nil
		case now == (Boot{Device: b.Device}):
			return false, "", errBare
		}
		return false, now.String(), nil
	})
}

// probeBare finds out about a BMC that keeps the device and tells none of its flags, not even the valid bit (OpenIPMI's ipmi_sim
// 2.0.33, 2026-11-21: "00 04 00 00 00" after "a0 04 00 00 00"). Such a reading may also be an old one that is no longer valid, on a BMC that ignores
// what it is told. So the device must go away when it is cleared, and come back when it is set.
func (c *Client) probeBare(ctx context.Context, t Target, s *session, b Boot) error {
	if err := c.applyBoot(ctx, t, s, Boot{Device: DeviceNone}); err != nil {
		return err
	}
	if now, err := s.boot(ctx); err != nil || now.Device != DeviceNone {
		return errors.Join(err, notApplied(t, "boot device "+b.String(), now.String(), 0))
	}
	if err := c.applyBoot(ctx, t, s, b); err != nil && !errors.Is(err, errBare) {
		return err
	}
	return nil
}

// boot reads the boot flags.
func (s *session) boot(ctx context.Context) (Boot, error) { return s.ipm.boot(ctx) }
