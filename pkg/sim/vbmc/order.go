package vbmc

import (
	"context"
	"errors"

	"github.com/bougou/go-ipmi/pkg/types"
)

// errOff is the completion code for orders that need the power on: D5h, not supported in the present state.
var errOff = errors.Join(errors.New("the power is off"), types.CodeNotSupported)

// inBand marks the context of requests that come from the host itself.
type inBand struct{}

// order gives the host one order at a time, unless the BMC is deaf. An order of the host itself is answered before Run carries
// it out, or a host that goes down would wait for itself.
func (b *BMC) order(ctx context.Context, what string, do func() error) error {
	b.flags.touch()
	if b.fault().DeafPower {
		b.log.Info("power order ignored", "state", what)
		return nil
	}
	if ctx.Value(inBand{}) == nil {
		return b.carryOut(what, do)
	}
	select {
	case b.later <- func() {
		if err := b.carryOut(what, do); err != nil {
			b.log.Error("in-band power order", "state", what, "err", err)
		}
	}:
		return nil
	default:
		return types.CodeNodeBusy
	}
}

// carryOutLater carries out in-band orders until ctx is done.
func (b *BMC) carryOutLater(ctx context.Context) error {
	for {
		select {
		case do := <-b.later:
			do()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// orderIfOn is order for a host that must be on.
func (b *BMC) orderIfOn(ctx context.Context, what string, do func() error) error {
	if !b.host.PowerState() {
		return errOff
	}
	return b.order(ctx, what, do)
}

func (b *BMC) carryOut(what string, do func() error) error {
	b.power.Lock()
	defer b.power.Unlock()
	b.log.Info("power order", "state", what)
	return do()
}
