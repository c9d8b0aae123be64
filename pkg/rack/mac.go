package rack

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
)

// MAC is a 48-bit IEEE 802 address. It is comparable; the zero value means "none".
type MAC [6]byte

// ErrMAC is matched by every error of ParseMAC.
var ErrMAC = errors.New("not a MAC address")

// ParseMAC reads six bytes in hexadecimal, separated by colons or hyphens, in any case. Blanks around the
// value are ignored. Multicast and all-zero addresses are refused, since no NIC has one.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	t := strings.TrimSpace(s)
	plain := strings.ReplaceAll(t, "-", ":")
	parts := strings.Split(plain, ":")
	if len(parts) != len(m) || (strings.Contains(t, "-") && strings.Contains(t, ":")) {
		return MAC{}, fmt.Errorf("%q: %w, want six bytes such as 52:54:00:12:34:56", t, ErrMAC)
	}
	for i, p := range parts {
		b, err := hex.DecodeString(p)
		if err != nil || len(b) != 1 {
			return MAC{}, fmt.Errorf("%q: %w, want six bytes such as 52:54:00:12:34:56", t, ErrMAC)
		}
		m[i] = b[0]
	}
	switch {
	case m.IsZero():
		return MAC{}, fmt.Errorf("%q: %w of a NIC: it is all zero", t, ErrMAC)
	case m[0]&1 == 1:
		return MAC{}, fmt.Errorf("%q: %w of a NIC: it is a multicast address", t, ErrMAC)
	}
	return m, nil
}

// MACFrom takes a hardware address of any length; anything but six bytes gives the zero MAC.
func MACFrom(hw net.HardwareAddr) MAC {
	var m MAC
	if len(hw) == len(m) {
		copy(m[:], hw)
	}
	return m
}

// IsZero reports whether m is the zero value, "none".
func (m MAC) IsZero() bool { return m == MAC{} }

// String gives lower-case hexadecimal with colons, and "" for the zero MAC.
func (m MAC) String() string {
	if m.IsZero() {
		return ""
	}
	return net.HardwareAddr(m[:]).String()
}

// Hardware gives m as package net knows it.
func (m MAC) Hardware() net.HardwareAddr { return net.HardwareAddr(m[:]) }

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; an empty text is the zero MAC.
func (m *MAC) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = MAC{}
		return nil
	}
	p, err := ParseMAC(string(b))
	if err == nil {
		*m = p
	}
	return err
}
