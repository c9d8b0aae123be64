package cluster

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/rack"
)

// Static is the public network of one node as the INI text of racker's 2021 flag --ip-addrs has it.
type Static struct {
	// Secondary is the MAC of the NIC.
	Secondary rack.MAC
	// Addresses are empty for DHCP.
	Addresses []netip.Prefix
	Gateways  []netip.Addr
	DNS       []netip.Addr
	line      int
}

// ParseINI reads the INI text of --ip-addrs, called name in errors:
//
//	[secondary MAC]
//	ip_addr = ADDRESS/LENGTH
//	gateway = ADDRESS
//	dns = ADDRESS
//
// A section without ip_addr means DHCP. The first with an address must give gateway and dns, later ones inherit what was given
// last. A # begins a comment line. Several values are separated by blanks or commas. The error is an *Error.
func ParseINI(name, text string) ([]Static, error) {
	p := &iniReader{findings: findings{file: name}}
	for line := range strings.Lines(text) {
		p.line++
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			p.section(line)
		default:
			p.setting(line)
		}
	}
	p.end()
	if len(p.list) == 0 && len(p.out) == 0 {
		p.fail(pos{}, "", "there is no section; one begins with [SECONDARY_MAC]")
	}
	if _, err := p.result(); err != nil {
		return nil, err
	}
	return p.out, nil
}

// iniReader reads line by line.
type iniReader struct {
	findings
	line int
	out  []Static
	// open reports whether there is a section that settings belong to; it is the last of out.
	open bool
	said map[string]int // settings of the section, with their lines
	last Static         // what is inherited
}

func (p *iniReader) bad(format string, args ...any) { p.fail(pos{p.line, 1}, "", format, args...) }

func (p *iniReader) section(line string) {
	p.end()
	text, ok := strings.CutSuffix(line[1:], "]")
	mac, err := rack.ParseMAC(strings.TrimSpace(text))
	if !ok || err != nil {
		p.bad("%q: want [SECONDARY_MAC]", line)
		return
	}
	if i := slices.IndexFunc(p.out, func(s Static) bool { return s.Secondary == mac }); i >= 0 {
		p.bad("%s is there twice, first on line %d", mac, p.out[i].line)
		return
	}
	p.out = append(p.out, Static{Secondary: mac, line: p.line})
	p.open, p.said = true, map[string]int{}
}

func (p *iniReader) setting(line string) {
	key, value, ok := strings.Cut(line, "=")
	key = strings.ToLower(strings.TrimSpace(key))
	if !ok {
		p.bad("%q: want NAME = VALUE", line)
		return
	}
	if known := []string{"ip_addr", "gateway", "dns"}; !slices.Contains(known, key) {
		p.bad("there is no setting %q%s", key, suggest(key, known))
		return
	}
	if !p.open {
		if len(p.out) == 0 && len(p.list) == 0 {
			p.bad("%s belongs into a section, which begins with [SECONDARY_MAC]", key)
		}
		return
	}
	if first, twice := p.said[key]; twice {
		p.bad("%s is set twice, first on line %d", key, first)
		return
	}
	p.said[key] = p.line
	s := &p.out[len(p.out)-1]
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		p.word(s, key, word)
	}
}

func (p *iniReader) word(s *Static, key, word string) {
	if key == "ip_addr" {
		a, err := netip.ParsePrefix(word)
		if err != nil {
			p.bad("ip_addr: %q is no address with a prefix length, such as 203.0.113.5/24", word)
			return
		}
		s.Addresses = append(s.Addresses, a)
		return
	}
	a, err := netip.ParseAddr(word)
	switch {
	case err != nil:
		p.bad("%s: %q is no address", key, word)
	case key == "gateway":
		s.Gateways = append(s.Gateways, a)
	default:
		s.DNS = append(s.DNS, a)
	}
}

// end completes the section that was open with what it inherits.
func (p *iniReader) end() {
	if !p.open {
		return
	}
	p.open = false
	s := &p.out[len(p.out)-1]
	if len(s.Addresses) == 0 {
		for _, key := range []string{"gateway", "dns"} {
			if line, ok := p.said[key]; ok && p.said["ip_addr"] == 0 {
				p.fail(pos{line, 1}, "", "%s goes with an ip_addr; without one the node asks by DHCP", key)
			}
		}
		return
	}
	inherit := func(what *[]netip.Addr, last *[]netip.Addr, key string) {
		if len(*what) == 0 {
			*what = *last
		}
		if len(*what) == 0 && p.said[key] == 0 {
			p.fail(pos{s.line, 1}, "", "%s: %s is missing, and no section before has it", s.Secondary, key)
		}
		*last = *what
	}
	inherit(&s.Gateways, &p.last.Gateways, "gateway")
	inherit(&s.DNS, &p.last.DNS, "dns")
}
