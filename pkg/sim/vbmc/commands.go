package vbmc

import (
	"context"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"
)

// Boot option parameters that are implemented, IPMI 2.0 table 28-14.
const (
	paramProgress = 0
	paramKeep     = 3
	paramAck      = 4
	paramFlags    = 5
)

// enables is what Get BMC Global Enables tells: bit 3, the system event log, is the only one that is always on.
const enables = 0x08

// commands gives go-ipmi's commands with those of ours over them: boot options with their timeout, a reset of the BMC that leaves
// the host alone, and what Linux's ipmi_si asks at probe.
func (b *BMC) commands() *handlers.Registry {
	reg := handlers.NewRegistry()
	reg.Use(b.survive)
	handlers.RegisterAllHandlers(reg)
	ok := func(data ...byte) handlers.HandlerFunc {
		return func(context.Context, *handlers.HandlerContext, []byte) ([]byte, types.CompletionCode, error) {
			return data, types.CodeOK, nil
		}
	}
	reg.Register(types.CommandSetSystemBootOptions, plain(b.setBootOption))
	reg.Register(types.CommandGetSystemBootOptions, plain(b.bootOption))
	reg.Register(types.CommandColdReset, ok())
	reg.Register(types.CommandWarmReset, ok())
	reg.Register(types.CommandGetSystemGUID, ok(b.ipmi.GUID[:]...))
	reg.Register(types.CommandGetBMCGlobalEnables, ok(enables))
	reg.Register(types.CommandSetBMCGlobalEnables, plain(setEnables))
	reg.Register(types.CommandGetChannelAccess, plain(channelAccess))
	reg.Register(types.CommandClearMessageFlags, ok())
	reg.Register(types.CommandGetMessageFlags, ok(0))
	return reg
}

// survive turns a panic of a handler, which a malformed request might cause, into completion code FFh.
func (b *BMC) survive(next handlers.Handler) handlers.Handler {
	return handlers.HandlerFunc(func(ctx context.Context, hctx *handlers.HandlerContext, req []byte) (data []byte, code types.CompletionCode, err error) {
		defer func() {
			if r := recover(); r != nil {
				b.log.Error("command failed", "err", fmt.Sprint(r), "state", hctx.Command.Name)
				data, code, err = nil, types.CodeUnspecifiedError, nil
			}
		}()
		return next.Handle(ctx, hctx, req)
	})
}

// plain makes a handler of a function from request to answer.
func plain(f func(req []byte) ([]byte, types.CompletionCode)) handlers.HandlerFunc {
	return func(_ context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
		data, code := f(req)
		return data, code, nil
	}
}

// setEnables implements Set BMC Global Enables: interrupts and the event message buffer, bits 0 to 2, are not there.
func setEnables(req []byte) ([]byte, types.CompletionCode) {
	switch {
	case len(req) != 1:
		return nil, types.CodeRequestDataLengthInvalid
	case req[0]&0x07 != 0:
		return nil, types.CodeRequestDataFieldInvalid
	}
	return nil, types.CodeOK
}

// channelAccess implements Get Channel Access, IPMI 2.0 section 22.23: the LAN channel is always available, up to administrator, with
// authentication of each message and of all levels, and no alerts.
func channelAccess(req []byte) ([]byte, types.CompletionCode) {
	switch {
	case len(req) < 2:
		return nil, types.CodeRequestDataLengthInvalid
	case req[0]&0x0f != lanChannel && req[0]&0x0f != types.ChannelNumberSelf:
		return nil, types.CodeRequestDataFieldInvalid
	}
	return []byte{0x22, 0x04}, types.CodeOK
}

// setBootOption implements Set System Boot Options, IPMI 2.0 section 28.12. The "parameter invalid" bit of the selector is
// ignored.
func (b *BMC) setBootOption(req []byte) ([]byte, types.CompletionCode) {
	if len(req) < 1 {
		return nil, types.CodeRequestDataLengthInvalid
	}
	fault, data := b.fault(), req[1:]
	size := map[byte]int{paramProgress: 1, paramKeep: 1, paramAck: 2, paramFlags: 5}[req[0]&0x7f]
	switch {
	case size == 0, fault.NoTimeout && req[0]&0x7f == paramKeep:
		return nil, types.CodeParameterNotSupported
	case len(data) == 0: // only the lock bit
		return nil, types.CodeOK
	case len(data) < size:
		return nil, types.CodeRequestDataLengthInvalid
	case fault.DeafBoot:
		return nil, types.CodeOK
	}
	f := b.flags
	if req[0]&0x7f == paramFlags {
		f.set(data[:size])
		b.log.Info("boot device set", "state", decode(f.read()).Device)
		return nil, types.CodeOK
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch req[0] & 0x7f {
	case paramProgress:
		f.progress = data[0] & 0x03
	case paramKeep:
		f.current() // what has run out stays so
		f.keep = data[0] & 0x1f
	case paramAck:
		f.ack = [2]byte{0, f.ack[1]&^data[0] | data[1]&data[0]}
	}
	return nil, types.CodeOK
}

// bootOption implements Get System Boot Options, IPMI 2.0 section 28.13.
func (b *BMC) bootOption(req []byte) ([]byte, types.CompletionCode) {
	if len(req) < 1 {
		return nil, types.CodeRequestDataLengthInvalid
	}
	const version = 1
	f, out := b.flags, []byte{version, req[0] & 0x7f}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch req[0] & 0x7f {
	case paramProgress:
		return append(out, f.progress), types.CodeOK
	case paramKeep:
		if !b.fault().NoTimeout {
			return append(out, f.keep), types.CodeOK
		}
	case paramAck:
		return append(out, f.ack[:]...), types.CodeOK
	case paramFlags:
		flags := f.current()
		return append(out, flags[:]...), types.CodeOK
	}
	return nil, types.CodeParameterNotSupported
}
