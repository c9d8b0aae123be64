package ipxe

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// ErrUnsafe is matched by every refusal of a value that could become more than the one word that it is meant to be.
var ErrUnsafe = errors.New("not safe in an iPXE script")

// Settings that iPXE itself fills in, in the only forms that a script may use (ipxe.org/cfg). What the board's maker or a
// person wrote into SMBIOS comes as uristring, without blanks; yet iPXE of 2019 leaves "&" in it as it is, so these
// belong behind all parameters that are trusted, and a server takes the first of a name.
const (
	MAC          = "${netX/mac:hexhyp}" // of the NIC opened last, 52-54-00-12-34-56
	IP           = "${netX/ip}"
	UUID         = "${uuid}"
	Serial       = "${serial:uristring}"
	Asset        = "${asset:uristring}"
	Manufacturer = "${manufacturer:uristring}"
	Product      = "${product:uristring}"
	BuildArch    = "${buildarch}" // i386, x86_64, arm64
	Platform     = "${platform}"  // pcbios, efi
	Version      = "${version:uristring}"
)

func variables() []string {
	return []string{MAC, IP, UUID, Serial, Asset, Manufacturer, Product, BuildArch, Platform, Version}
}

// withoutVariables takes the allowed settings out of a value; put says what stands in for each.
func withoutVariables(s, put string) string {
	for _, v := range variables() {
		s = strings.ReplaceAll(s, v, put)
	}
	return s
}

// text checks what may stand in a line besides words: printable characters and blanks, no setting but the allowed
// ones, nothing that goes on in the next line. iPXE reads a backslash at the end of a line as "continued".
func text(s string) error {
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return fmt.Errorf("%q: %w: it has a control character", s, ErrUnsafe)
		}
	}
	switch {
	case strings.Contains(withoutVariables(s, ""), "${"):
		return fmt.Errorf("%q: %w: it would expand a setting", s, ErrUnsafe)
	case strings.HasSuffix(s, `\`):
		return fmt.Errorf("%q: %w: it ends in a backslash", s, ErrUnsafe)
	}
	return nil
}

// tokens checks the words of a text: iPXE takes "||", "&&" and ";" for the end of a command, and a word that begins with
// "#" for a comment (iPXE: src/core/exec.c).
func tokens(s string) error {
	if err := text(s); err != nil {
		return err
	}
	for _, t := range strings.Fields(s) {
		if t[0] == '#' || slices.Contains([]string{"||", "&&", ";"}, t) {
			return fmt.Errorf("%q: %w: the word %q means something there", s, ErrUnsafe, t)
		}
	}
	return nil
}

// word checks a value that must stay one word.
func word(s string) error {
	if s == "" || strings.ContainsFunc(s, unicode.IsSpace) {
		return fmt.Errorf("%q: %w: want one word", s, ErrUnsafe)
	}
	return tokens(s)
}

// name checks the name of a setting, a label or an image.
func name(s string) error {
	ok := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	})
	if !ok || s[0] == '-' || s[0] == '.' {
		return fmt.Errorf("%q: %w: want a name of letters, digits, dots, hyphens and underscores", s, ErrUnsafe)
	}
	return nil
}

// address checks a URL that iPXE is to fetch.
func address(s string) error {
	if err := word(s); err != nil {
		return err
	}
	u, err := url.Parse(withoutVariables(s, "0"))
	if err != nil || u.Host == "" || u.User != nil || !slices.Contains([]string{"http", "https", "tftp"}, u.Scheme) {
		return fmt.Errorf("%q: %w: want an http, https or tftp URL with a host", s, ErrUnsafe)
	}
	return nil
}

// argument checks one argument of a kernel command line. Blanks are allowed inside double quotes only, one at a time:
// iPXE splits the line at blanks and joins it again with single ones, and the kernel then honours the quotes.
func argument(s string) error {
	if s == "" {
		return fmt.Errorf("%q: %w: it is empty", s, ErrUnsafe)
	}
	if err := tokens(s); err != nil {
		return err
	}
	quoted, before := false, 'x'
	for _, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
		case unicode.IsSpace(r) && (r != ' ' || !quoted || before == ' '):
			return fmt.Errorf("%q: %w: a blank outside quotes, or two in a row", s, ErrUnsafe)
		}
		before = r
	}
	if quoted || s[0] == ' ' || before == ' ' {
		return fmt.Errorf("%q: %w: quotes that do not end", s, ErrUnsafe)
	}
	return nil
}
