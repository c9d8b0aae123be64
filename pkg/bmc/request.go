package bmc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
)

// Reading is what a BMC tells about itself and its server.
type Reading struct {
	Power            api.Power
	Manufacturer     string // the name, where the IANA number is known
	ManufacturerID   uint32 // IANA enterprise number
	ProductID        uint16
	FirmwareRevision string // "1.23"
	IPMIVersion      string // "2.0"
	CipherSuite      int    // that the session was opened with: 17 or 3
	// MAC is the BMC's own, zero when it does not tell.
	MAC rack.MAC
}

// Check logs in and reads power and identity; nothing is changed. It matches ErrAuth, ErrPrivilege, ErrUnreachable,
// ErrCipherSuite, ErrBusy.
func (c *Client) Check(ctx context.Context, t Target) (Reading, error) {
	var r Reading
	err := c.do(ctx, t, "read its identity", func(ctx context.Context, s *session) error {
		power, err := s.power(ctx)
		if err != nil {
			return err
		}
		if r, err = s.ipm.reading(ctx); err != nil {
			return err
		}
		r.Power = power
		return nil
	})
	return r, err
}

// Power reads the power state. Errors as Check.
func (c *Client) Power(ctx context.Context, t Target) (api.Power, error) {
	var p api.Power
	err := c.do(ctx, t, "read power", func(ctx context.Context, s *session) (err error) {
		p, err = s.power(ctx)
		return err
	})
	return p, err
}

// SetPower turns the server on or off, off at once as by its power button held down. A server that is in that state already gets
// no order. It returns when the state reads back, or with an error that matches ErrNotApplied after Config.Settle; else
// errors as Check. It is safe to repeat.
func (c *Client) SetPower(ctx context.Context, t Target, on bool) error {
	want := api.PowerOff
	if on {
		want = api.PowerOn
	}
	return c.do(ctx, t, "turn power "+string(want), func(ctx context.Context, s *session) error {
		return c.setPower(ctx, t, s, string(want), want, c.cfg.Settle)
	})
}

// SoftOff asks the operating system to shut down (ACPI) and returns when the power reads off, or with an error that
// matches ErrNotApplied after Config.SoftSettle; else errors as Check.
func (c *Client) SoftOff(ctx context.Context, t Target) error {
	return c.do(ctx, t, "shut down", func(ctx context.Context, s *session) error {
		return c.setPower(ctx, t, s, orderSoft, api.PowerOff, c.cfg.SoftSettle)
	})
}

// setPower gives order unless the state is want already, and reads until it is.
func (c *Client) setPower(ctx context.Context, t Target, s *session, order string, want api.Power, settle time.Duration) error {
	now, err := s.power(ctx)
	if err != nil || now == want {
		return err
	}
	if _, err := s.lib.SetPowerState(ctx, order); err != nil {
		return s.failed(err)
	}
	return c.settle(ctx, t, "power "+order, settle, func() (bool, string, error) {
		now, err := s.power(ctx)
		return now == want, string(now), err
	})
}

// power reads the power state through bmclib.
func (s *session) power(ctx context.Context) (api.Power, error) {
	text, err := s.lib.GetPowerState(ctx)
	if err != nil {
		return api.PowerUnknown, s.failed(err)
	}
	return api.Power(text), nil
}

// settle reads until read says that the change is there, for at most limit.
func (c *Client) settle(ctx context.Context, t Target, what string, limit time.Duration, read func() (bool, string, error)) error {
	began, now := time.Now(), ""
	for {
		done, reading, err := read()
		if err == nil {
			now = reading
		}
		waited := time.Since(began)
		switch {
		case done, err != nil && (now == "" || !late(ctx)):
			return err
		case late(ctx), waited+c.cfg.Poll > limit: // the BMC did answer
			return notApplied(t, what, now, waited)
		}
		if err := pause(ctx, c.cfg.Poll); err != nil && !late(ctx) {
			return err
		}
	}
}

// late tells whether ctx has reached its deadline, rather than been cancelled. It looks at the clock: a socket with the
// same deadline may give up a moment before ctx knows that its own has passed.
func late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || ctx.Err() == nil && ok && !time.Now().Before(deadline)
}

// notApplied is the error for a change that reads back as now.
func notApplied(t Target, what, now string, waited time.Duration) error {
	text := fmt.Sprintf("was told %s: %v: it reads %s", what, ErrNotApplied, now)
	if waited > 0 {
		text += " after " + waited.Round(100*time.Millisecond).String()
	}
	return &Error{Target: t.String(), Kind: ErrNotApplied, Text: text}
}
