package rack

import (
	"fmt"
	"net/netip"
	"strings"
)

// Bounds of the internal network's prefix length: a /16 holds 32,766 fixed addresses, a /26 holds 31.
const (
	MinPrefixBits = 16
	MaxPrefixBits = 26
)

// ParsePrefix reads the internal network: three bytes "172.24.213", which means the /24 of 2021, or a CIDR. The
// result is masked, IPv4, and between MinPrefixBits and MaxPrefixBits long.
func ParsePrefix(s string) (netip.Prefix, error) {
	t := strings.TrimSpace(s)
	full := t
	if !strings.Contains(t, "/") && strings.Count(t, ".") == 2 {
		full = t + ".0/24"
	}
	p, err := netip.ParsePrefix(full)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("network %q: want three bytes such as 172.24.213, or a CIDR such as 172.24.213.0/24", t)
	}
	if err := checkPrefix(p); err != nil {
		return netip.Prefix{}, err
	}
	return p.Masked(), nil
}

func checkPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid() || !p.Addr().Is4():
		return fmt.Errorf("network %s: the internal network is IPv4", p)
	case p.Bits() < MinPrefixBits || p.Bits() > MaxPrefixBits:
		return fmt.Errorf("network %s: want a prefix from /%d to /%d", p, MinPrefixBits, MaxPrefixBits)
	case !p.Addr().IsGlobalUnicast() || !p.Masked().Addr().IsGlobalUnicast():
		return fmt.Errorf("network %s: not a unicast network", p)
	}
	return nil
}
