package bmc

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bougou/go-ipmi/pkg/types"
)

func TestKindOf(t *testing.T) {
	for code, want := range map[types.RmcpStatusCode]error{
		0x01: ErrBusy, 0x04: nil, 0x09: ErrPrivilege, 0x0a: ErrPrivilege, 0x0b: ErrBusy, 0x0d: ErrAuth, 0x0f: ErrAuth, 0x11: nil, 0x12: nil,
	} {
		if got := kindOf(fmt.Errorf("open: %w", types.NewRmcpStatusError(code))); !errors.Is(got, want) {
			t.Errorf("status %#x: %v, want %v", uint8(code), got, want)
		}
	}
	for code, want := range map[types.CompletionCode]error{0xc0: ErrBusy, 0xc3: ErrBusy, 0xd4: ErrPrivilege, 0xc1: nil, 0x80: nil} {
		if got := kindOf(fmt.Errorf("send: %w", types.NewResponseError(code, ""))); !errors.Is(got, want) {
			t.Errorf("completion code %#x: %v, want %v", uint8(code), got, want)
		}
	}
}

// Only an answer about the algorithms opens the way to suite 3.
func TestRefusesSuite(t *testing.T) {
	for code := types.RmcpStatusCode(0); code < 0x20; code++ {
		want := false
		switch code {
		case 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12:
			want = true
		}
		if got := refusesSuite(fmt.Errorf("open: %w", types.NewRmcpStatusError(code))); got != want {
			t.Errorf("status %#x: %v, want %v", uint8(code), got, want)
		}
	}
	if refusesSuite(errors.New("no answer")) {
		t.Error("silence counts as a refusal")
	}
}

func FuzzRefusal(f *testing.F) {
	open := []byte{6, 0, 0xff, 7, 6, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 4}
	f.Add(open)
	f.Add(open[:17])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, packet []byte) {
		if code := refusal(packet); code != 0 && byte(code) != packet[17] {
			t.Errorf("status %#x in % x", uint8(code), packet)
		}
	})
}
