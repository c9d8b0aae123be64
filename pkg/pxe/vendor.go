package pxe

import (
	"encoding/binary"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Tags inside option 43 of a PXE client or server (PXE 2.1 2.2.3, table 2-1).
const (
	tagDiscoveryControl = 6
	tagBootItem         = 71
)

// useBootFile is bit 3 of PXE_DISCOVERY_CONTROL: take the boot file that this very offer names, without menu, boot
// server discovery or a proxyDHCP request.
const useBootFile = 8

// VendorUseBootFile is the option 43 that makes a PXE client load the file of the offer. Without it, EDK2 takes an
// offer with option 60 "PXEClient" for one that wants boot server discovery on port 4011, and waits there in vain
// (tianocore/edk2 issues 8149, 6944, 10114).
func VendorUseBootFile() dhcpv4.Option {
	return dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, []byte{tagDiscoveryControl, 1, useBootFile, 255})
}

// Vendor is what option 43 of a PXE packet holds, as far as racker has a use for it.
type Vendor struct {
	// DiscoveryControl is PXE_DISCOVERY_CONTROL; HasControl tells that it was there.
	DiscoveryControl byte
	HasControl       bool
	// BootItem is the type of boot server that the client asks for, Layer the layer of it; HasItem tells that the
	// client named them. Clients send them to port 4011.
	BootItem, Layer uint16
	HasItem         bool
}

// ParseVendor reads option 43 of a packet whose option 60 says PXEClient.
func ParseVendor(p *dhcpv4.DHCPv4) Vendor {
	var v Vendor
	eachTag(p.Options.Get(dhcpv4.OptionVendorSpecificInformation), func(tag byte, value []byte) {
		switch {
		case tag == tagDiscoveryControl && len(value) == 1:
			v.DiscoveryControl, v.HasControl = value[0], true
		case tag == tagBootItem && len(value) == 4:
			v.BootItem, v.Layer = binary.BigEndian.Uint16(value), binary.BigEndian.Uint16(value[2:])
			v.HasItem = true
		}
	})
	return v
}
