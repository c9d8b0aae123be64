package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Validate checks what one setting alone cannot tell, and joins all errors, each beginning with the setting's name.
func (s *Settings) Validate() error {
	var errs []error
	bad := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w%s", name, fmt.Errorf(format, args...), s.from(name)))
	}
	for _, dir := range []struct{ name, value string }{
		{"oem_dir", s.OEMDir}, {"state_dir", s.StateDir}, {"socket", s.Socket}, {"payload_dir", s.PayloadDir},
	} {
		if dir.value == "" {
			bad(dir.name, "must not be empty")
		}
	}
	if n := len(s.Socket); n > maxSocketPath {
		bad("socket", "%d bytes long, a unix socket's path takes at most %d", n, maxSocketPath)
	}
	if s.DHCP == DHCPProxy {
		bad("dhcp", "this version has no proxy mode; use full, or off where another server does all of DHCP")
	}
	if s.BMC.Mode == BMCStatic && !s.BMC.Network.IsValid() {
		bad("bmc.network", "must be set when bmc.mode is static")
	}
	if s.BMC.Mode == BMCLeased && s.BMC.Network.IsValid() {
		bad("bmc.network", "has no meaning unless bmc.mode is static")
	}
	if s.Ports.HTTP == s.Ports.HTTPS {
		bad("ports.https", "is %d, the same as ports.http", s.Ports.HTTPS)
	}
	if s.Ports.DHCP == s.Ports.TFTP {
		bad("ports.tftp", "is %d, the same as ports.dhcp", s.Ports.TFTP)
	}
	for _, arg := range append([]string{s.Console}, s.Microkernel.Args...) {
		if strings.ContainsAny(arg, " \t\r\n") || strings.Contains(arg, "${") {
			bad(argSetting(arg == s.Console), "%q: blanks and ${ have no place in a word of a kernel command line", arg)
		}
	}
	if strings.ContainsRune(s.Internal.Interface, filepath.Separator) {
		bad("internal.interface", "%q is not the name of an interface", s.Internal.Interface)
	}
	return errors.Join(errs...)
}

// maxSocketPath is sun_path without its closing zero, unix(7).
const maxSocketPath = 107

func argSetting(console bool) string {
	if console {
		return "console"
	}
	return "microkernel.args"
}

func (s *Settings) from(name string) string {
	if at := s.Origin[name]; at != "" {
		return " (set by " + at + ")"
	}
	return ""
}

// Entry is one setting as `racker config show` prints it.
type Entry struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Source is "default", FILE:LINE, the variable, or the flag.
	Source string `json:"source"`
}

// Entries lists all settings with where they came from, in a fixed order.
func (s *Settings) Entries() []Entry {
	var out []Entry
	for _, k := range keys() {
		source := s.Origin[k.name]
		if source == "" {
			source = "default"
		}
		out = append(out, Entry{Name: k.name, Value: k.get(s), Source: source})
	}
	return out
}
