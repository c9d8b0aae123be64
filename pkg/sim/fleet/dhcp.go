package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/racker-project/racker/pkg/pxe"
)

var (
	// errNoOffer says that nobody answered.
	errNoOffer = errors.New("no DHCP offer was received")
	// errNak says that the server refused the address that it had offered.
	errNak = errors.New("the DHCP server refused the address")
)

// patience is how long a DHCP client waits for each of its answers before it asks again. After the last it gives up,
// unless the last is to be repeated for ever.
type patience struct {
	waits   []time.Duration
	forever bool
}

// firmwarePatience is that of PXE firmware (PXE 2.1 2.2.8).
func firmwarePatience() patience {
	return patience{waits: []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}}
}

// ipxePatience is that of iPXE (iPXE: src/net/udp/dhcp.c, DHCP_DISC_START_TIMEOUT_SEC and END).
func ipxePatience() patience {
	return patience{waits: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second}}
}

// systemPatience is that of an operating system.
func systemPatience() patience {
	return patience{waits: []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second}, forever: true}
}

// acquire goes from DISCOVER to ACK (RFC 2131 3.1) with the options in every message.
func (p *port) acquire(ctx context.Context, patient patience, options ...dhcpv4.Modifier) (*dhcpv4.DHCPv4, error) {
	xid, err := dhcpv4.GenerateTransactionID()
	if err != nil {
		return nil, fmt.Errorf("DHCP: %w", err)
	}
	answers := make(chan *dhcpv4.DHCPv4, 4)
	p.listen(xid, answers)
	defer p.listen(xid, nil)
	for {
		discover, err := p.message(xid, dhcpv4.MessageTypeDiscover, options...)
		if err != nil {
			return nil, err
		}
		offer, err := p.ask(ctx, discover, answers, patient, dhcpv4.MessageTypeOffer)
		if err != nil {
			return nil, err
		}
		request, err := p.message(xid, dhcpv4.MessageTypeRequest, append(options,
			dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(offer.YourIPAddr)),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(offer.ServerIdentifier())))...)
		if err != nil {
			return nil, err
		}
		ack, err := p.ask(ctx, request, answers, patience{waits: ipxePatience().waits[:4]}, dhcpv4.MessageTypeAck)
		if err == nil || ctx.Err() != nil || !patient.forever {
			return ack, err
		}
		if err := rest(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// message makes a message of a client without an address.
func (p *port) message(xid dhcpv4.TransactionID, kind dhcpv4.MessageType, options ...dhcpv4.Modifier) (*dhcpv4.DHCPv4, error) {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithTransactionID(xid), dhcpv4.WithHwAddr(p.mac.Hardware()), dhcpv4.WithMessageType(kind),
	}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("DHCP %s: %w", kind, err)
	}
	m.OpCode, m.HWType = dhcpv4.OpcodeBootRequest, iana.HWTypeEthernet
	return m, nil
}

// ask sends a message until it is answered by one of the kind that is wanted, or by a refusal.
func (p *port) ask(ctx context.Context, m *dhcpv4.DHCPv4, answers <-chan *dhcpv4.DHCPv4, patient patience, want dhcpv4.MessageType) (*dhcpv4.DHCPv4, error) {
	began := time.Now()
	for try := 0; ; try++ {
		if try >= len(patient.waits) && !patient.forever {
			return nil, errNoOffer
		}
		m.NumSeconds = uint16(min(time.Since(began)/time.Second, 0xffff))
		p.send(datagram{
			to: broadcast(), from: p.mac, fromIP: netip.IPv4Unspecified(), toIP: netip.AddrFrom4([4]byte{255, 255, 255, 255}),
			fromPort: clientPort, port: serverPort, payload: m.ToBytes(),
		}.frame())
		wait := patient.waits[min(try, len(patient.waits)-1)]
		in, err := await(ctx, answers, wait-wait/8+rand.N(wait/4), want)
		if in != nil || err != nil {
			return in, err
		}
	}
}

// await gives nothing, and no error, when the time is over.
func await(ctx context.Context, answers <-chan *dhcpv4.DHCPv4, wait time.Duration, want dhcpv4.MessageType) (*dhcpv4.DHCPv4, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over.C:
			return nil, nil
		case in := <-answers:
			switch in.MessageType() {
			case want:
				if ip, ok := netip.AddrFromSlice(in.YourIPAddr.To4()); ok && !ip.IsUnspecified() {
					return in, nil
				}
			case dhcpv4.MessageTypeNak:
				return nil, errNak
			}
		}
	}
}

// leased gives the address of an ACK.
func leased(ack *dhcpv4.DHCPv4) netip.Addr {
	ip, _ := netip.AddrFromSlice(ack.YourIPAddr.To4())
	return ip
}

// asFirmware is what PXE or UEFI HTTP boot firmware says (PXE 2.1 2.2.1, UEFI 2.10 24.7.3).
func asFirmware(class string, arch pxe.Arch, uuid [16]byte) []dhcpv4.Modifier {
	return []dhcpv4.Modifier{
		dhcpv4.WithBroadcast(true),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier(arch.Option60(class))),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionClientSystemArchitectureType, binary.BigEndian.AppendUint16(nil, uint16(arch)))),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionClientNetworkInterfaceIdentifier, []byte{1, 3, 16})),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, append([]byte{0}, uuid[:]...))),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionVendorSpecificInformation,
			dhcpv4.OptionTFTPServerName, dhcpv4.OptionBootfileName),
	}
}

// ipxeFeatures is option 175 of iPXE 1.0.0: it can do HTTP, TFTP, DNS and bzImage, and is for PXE or EFI.
func ipxeFeatures(efi bool) []byte {
	kind := byte(0x21) // PXE
	if efi {
		kind = 0x24
	}
	return []byte{0xb1, 5, 1, 0x80, 0x86, 0x10, 0x0e, 0xeb, 3, 1, 0, 0, 0x13, 1, 1, 0x15, 1, 1, 0x17, 1, 1, 0x18, 1, 1, kind, 1, 1}
}

// asIPXE is what iPXE says (iPXE: src/net/udp/dhcp.c).
func asIPXE(arch pxe.Arch, uuid [16]byte) []dhcpv4.Modifier {
	return append(asFirmware(pxe.ClassPXE, arch, uuid),
		dhcpv4.WithBroadcast(false),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionUserClassInformation, []byte("iPXE"))),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(175), ipxeFeatures(arch.UEFI()))),
	)
}

// asAgent is what the microkernel's agent says.
func asAgent() []dhcpv4.Modifier {
	return []dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier("racker-agent")), dhcpv4.WithOption(dhcpv4.OptUserClass("racker")),
	}
}

// asSystem is what systemd-networkd says: a client identifier of IAID and DUID-EN (RFC 4361), and its host name.
func asSystem(host string, mac net.HardwareAddr) []dhcpv4.Modifier {
	id := append([]byte{255}, mac[2:6]...)
	id = append(id, 0, 2, 0, 0, 0xab, 0x11)
	return []dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptClientIdentifier(append(id, mac...))), dhcpv4.WithOption(dhcpv4.OptHostName(host)),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer),
	}
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
