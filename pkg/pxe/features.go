package pxe

import (
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// optionIPXE is option 175, in which iPXE encapsulates options of its own (ipxe.org/howto/dhcpd).
const optionIPXE = dhcpv4.GenericOptionCode(175)

// Tags inside option 175 (iPXE: src/include/ipxe/features.h and dhcp.h).
const (
	tagHTTP      = 0x13
	tagHTTPS     = 0x14
	tagTFTP      = 0x15
	tagBzImage   = 0x18
	tagPXE       = 0x21
	tagEFI       = 0x24
	tagVLAN      = 0x26
	tagNoPXEDHCP = 0xb0
	tagVersion   = 0xeb
)

// Features is what an iPXE says it was built with.
type Features struct {
	// Sent tells that the packet had option 175 at all; without it nothing is known of the features.
	Sent bool `json:"sent,omitempty"`
	// Version is iPXE's, "1.0.0".
	Version string `json:"version,omitempty"`
	HTTP    bool   `json:"http,omitempty"`
	HTTPS   bool   `json:"https,omitempty"`
	TFTP    bool   `json:"tftp,omitempty"`
	BzImage bool   `json:"bzimage,omitempty"`
	PXE     bool   `json:"pxe,omitempty"`
	EFI     bool   `json:"efi,omitempty"`
	VLAN    bool   `json:"vlan,omitempty"`
}

// NoHTTP tells that this iPXE says that it cannot fetch by HTTP, so that a script URL is of no use to it.
func (f Features) NoHTTP() bool { return f.Sent && !f.HTTP }

func parseFeatures(b []byte) Features {
	if len(b) == 0 {
		return Features{}
	}
	f := Features{Sent: true}
	eachTag(b, func(tag byte, value []byte) {
		on := len(value) == 1 && value[0] != 0
		switch tag {
		case tagHTTP:
			f.HTTP = on
		case tagHTTPS:
			f.HTTPS = on
		case tagTFTP:
			f.TFTP = on
		case tagBzImage:
			f.BzImage = on
		case tagPXE:
			f.PXE = on
		case tagEFI:
			f.EFI = on
		case tagVLAN:
			f.VLAN = on
		case tagVersion:
			if len(value) == 3 {
				f.Version = fmt.Sprintf("%d.%d.%d", value[0], value[1], value[2])
			}
		}
	})
	return f
}

// eachTag walks encapsulated options (RFC 2132 8.4): tag, length, value; 0 pads, 255 ends. It stops at the first that
// does not fit.
func eachTag(b []byte, visit func(tag byte, value []byte)) {
	for len(b) > 0 {
		switch b[0] {
		case 0:
			b = b[1:]
			continue
		case 255:
			return
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return
		}
		n := int(b[1])
		visit(b[0], b[2:2+n])
		b = b[2+n:]
	}
}

// NoProxyDHCP is the option 175 of a reply that tells iPXE not to wait for a proxyDHCP server, which saves it some
// seconds per boot (iPXE: DHCP_EB_NO_PXEDHCP).
func NoProxyDHCP() dhcpv4.Option {
	return dhcpv4.OptGeneric(optionIPXE, []byte{tagNoPXEDHCP, 1, 1})
}
