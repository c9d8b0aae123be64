package bmc

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Port is the RMCP port of a BMC, IPMI 2.0 section 13.1.2.
const Port = 623

// Limits of IPMI 2.0: section 13.20 (user name), section 22.30 (password), both in bytes.
const (
	maxUser     = 16
	maxPassword = 20
)

// redacted is what a Secret shows of itself.
const redacted = "[redacted]"

// Secret is a password. It prints, logs and encodes as "[redacted]"; Reveal gives the text itself.
type Secret string

// Reveal gives the text of the secret.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// Format implements fmt.Formatter, for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, and so covers JSON and XML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Target is one BMC and who logs in.
type Target struct {
	// Node names the server in errors: "node-7 (U17, serial ABC)".
	Node string
	// Host is the address, or a name that resolves to it.
	Host string
	// Port is the UDP port; 0 means 623.
	Port     int
	User     string // at most 16 bytes
	Password Secret // at most 20 bytes
}

// At gives a Target for an address with a port; port 0 means 623.
func At(node string, addr netip.AddrPort, user string, password Secret) Target {
	return Target{Node: node, Host: addr.Addr().String(), Port: int(addr.Port()), User: user, Password: password}
}

// address is what a socket is opened to.
func (t Target) address() string {
	port := t.Port
	if port == 0 {
		port = Port
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(port))
}

// String names the BMC for a person: "BMC of node-2 at 172.24.213.6"; the port only when it is not 623.
func (t Target) String() string {
	at := t.Host
	if t.Port != 0 && t.Port != Port {
		at = t.address()
	}
	if t.Node == "" {
		return "BMC at " + at
	}
	return "BMC of " + t.Node + " at " + at
}

// validate refuses what no BMC could accept.
func (t Target) validate() error {
	switch {
	case t.Host == "":
		return fmt.Errorf("BMC of %s: no address", t.Node)
	case t.Port < 0 || t.Port > 65535:
		return fmt.Errorf("%s: port %d is out of range", t, t.Port)
	case len(t.User) > maxUser:
		return fmt.Errorf("%s: user %q is longer than the %d bytes of IPMI", t, t.User, maxUser)
	case len(t.Password) > maxPassword:
		return fmt.Errorf("%s: the password is longer than the %d bytes of IPMI", t, maxPassword)
	case strings.ContainsRune(t.User, 0) || strings.ContainsRune(string(t.Password), 0):
		return fmt.Errorf("%s: user and password must not hold a NUL byte", t)
	}
	return nil
}
