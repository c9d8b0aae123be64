// Package pxe has the meaning of the DHCP options by which network boot clients and servers talk: 43, 60, 77, 93, 94
// and 97 (PXE 2.1, RFC 4578, RFC 3004) and iPXE's own 175.
//
// It looks at packets only: it sends nothing, keeps nothing and owns no goroutine. All functions may be called
// concurrently.
package pxe

import (
	"fmt"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Client is what a DHCP packet says about the firmware or boot program that sent it. The zero value is a client that
// does not boot from the network.
type Client struct {
	// Class is option 60 as text; bytes that cannot be printed are dots.
	Class string `json:"class,omitempty"`
	// PXE and HTTP tell that option 60 begins with "PXEClient" (PXE 2.1 2.2.1) or "HTTPClient" (UEFI 2.10 24.7.3).
	PXE  bool `json:"pxe,omitempty"`
	HTTP bool `json:"http,omitempty"`
	// IPXE tells that option 77 holds "iPXE", as raw bytes or in the length-prefixed form of RFC 3004.
	IPXE bool `json:"ipxe,omitempty"`
	// Arch is the first entry of option 93; without one, what option 60 says, else BIOS.
	Arch Arch `json:"arch"`
	// HasArch tells that the packet named an architecture at all.
	HasArch bool `json:"has_arch,omitempty"`
	// UNDI is option 94, the version of the network driver interface, as "3.16"; empty without it.
	UNDI string `json:"undi,omitempty"`
	// UUID is option 97 in lower case, as dmidecode prints it; empty without it.
	UUID string `json:"uuid,omitempty"`
	// Features is option 175, which only iPXE sends.
	Features Features `json:"features,omitzero"`
}

// Netboot tells whether the client asks for a boot program.
func (c Client) Netboot() bool { return c.PXE || c.HTTP || c.IPXE }

// Kind names the client in one word, for logs and evidence: "ipxe", "http", "pxe" or "dhcp".
func (c Client) Kind() string {
	switch {
	case c.IPXE:
		return "ipxe"
	case c.HTTP:
		return "http"
	case c.PXE:
		return "pxe"
	}
	return "dhcp"
}

// String describes the client for a person: "iPXE 1.21.1 (UEFI x86-64)".
func (c Client) String() string {
	switch {
	case c.IPXE && c.Features.Version != "":
		return fmt.Sprintf("iPXE %s (%s)", c.Features.Version, c.Arch)
	case c.IPXE:
		return fmt.Sprintf("iPXE (%s)", c.Arch)
	case c.HTTP:
		return fmt.Sprintf("UEFI HTTP boot (%s)", c.Arch)
	case c.PXE:
		return fmt.Sprintf("PXE (%s)", c.Arch)
	}
	return "DHCP client"
}

// Parse reads the options of a packet. Options that make no sense are taken as absent, since the packet comes from
// outside and firmware gets many of them wrong.
func Parse(p *dhcpv4.DHCPv4) Client {
	class := p.Options.Get(dhcpv4.OptionClassIdentifier)
	c := Client{
		Class: printable(class),
		PXE:   strings.HasPrefix(string(class), ClassPXE),
		HTTP:  strings.HasPrefix(string(class), ClassHTTP),
		IPXE:  isIPXE(p.Options.Get(dhcpv4.OptionUserClassInformation)),
		UNDI:  undi(p.Options.Get(dhcpv4.OptionClientNetworkInterfaceIdentifier)),
	}
	c.Arch, c.HasArch = arch(p.Options.Get(dhcpv4.OptionClientSystemArchitectureType), string(class))
	c.UUID = uuid(p.Options.Get(dhcpv4.OptionClientMachineIdentifier))
	if c.IPXE {
		c.Features = parseFeatures(p.Options.Get(optionIPXE))
	}
	return c
}

// Values of option 60.
const (
	ClassPXE  = "PXEClient"
	ClassHTTP = "HTTPClient"
)

// userClassIPXE is the value of option 77 that iPXE sends (iPXE: src/net/udp/dhcp.c, "User class").
const userClassIPXE = "iPXE"

// isIPXE accepts both forms of option 77. iPXE sends the plain bytes; relays and other boot programs built on iPXE
// may send RFC 3004 4: a list of strings, each after its length.
func isIPXE(b []byte) bool {
	if string(b) == userClassIPXE {
		return true
	}
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || n >= len(b) {
			return false
		}
		if string(b[1:1+n]) == userClassIPXE {
			return true
		}
		b = b[1+n:]
	}
	return false
}

// undi reads option 94 (RFC 4578 2.2): type 1 (UNDI), major, minor.
func undi(b []byte) string {
	if len(b) != 3 || b[0] != 1 {
		return ""
	}
	return fmt.Sprintf("%d.%02d", b[1], b[2])
}

// uuid reads option 97 (RFC 4578 2.3): type 0 and 16 bytes. The RFC names no byte order; EDK2, Intel's PXE and iPXE all
// send the bytes as they are in SMBIOS, whose first three fields are little-endian (DSP0134 7.2.1; seen with OVMF and
// with iPXE of 2019, 2026-11-21). All zero or all ones means that the board has none.
func uuid(b []byte) string {
	if len(b) != 17 || b[0] != 0 {
		return ""
	}
	var u [16]byte
	copy(u[:], b[1:])
	u[0], u[1], u[2], u[3] = u[3], u[2], u[1], u[0]
	u[4], u[5] = u[5], u[4]
	u[6], u[7] = u[7], u[6]
	first, same := u[0], true
	for _, x := range u {
		same = same && x == first
	}
	if same && (first == 0 || first == 0xff) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// printable replaces what could disturb a log or a terminal.
func printable(b []byte) string {
	if len(b) > 128 {
		b = b[:128]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '.'
		}
		return r
	}, string(b))
}
