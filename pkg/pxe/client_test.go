package pxe

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// captured reads a DISCOVER of a real client: QEMU 7.2 with SeaBIOS and its iPXE ROM, and with OVMF of Debian 12, and
// iPXE 1.0.0+git-20190125; started with -uuid 12345678-9abc-def0-1122-334455667788.
func captured(t testing.TB, name string) *dhcpv4.DHCPv4 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".discover"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := dhcpv4.FromBytes(b)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

const machine = "12345678-9abc-def0-1122-334455667788"

func TestParseCaptured(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Client{
		"ipxe-bios": {
			Class: "PXEClient:Arch:00000:UNDI:002001", PXE: true, IPXE: true, Arch: BIOS, HasArch: true, UNDI: "2.01", UUID: machine,
			Features: Features{Sent: true, Version: "1.0.0", HTTP: true, TFTP: true, BzImage: true, PXE: true},
		},
		"ipxe-uefi": {
			Class: "PXEClient:Arch:00007:UNDI:003010", PXE: true, IPXE: true, Arch: EFIX64, HasArch: true, UNDI: "3.10", UUID: machine,
			Features: Features{Sent: true, Version: "1.0.0", HTTP: true, TFTP: true, EFI: true},
		},
		"ovmf-pxe": {
			Class: "PXEClient:Arch:00007:UNDI:003000", PXE: true, Arch: EFIX64, HasArch: true, UNDI: "3.00", UUID: machine,
		},
		"ovmf-http": {
			Class: "HTTPClient:Arch:00016:UNDI:003000", HTTP: true, Arch: EFIX64HTTP, HasArch: true, UNDI: "3.00", UUID: machine,
		},
	} {
		if d := cmp.Diff(want, Parse(captured(t, name))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func packet(t testing.TB, options map[uint8][]byte) *dhcpv4.DHCPv4 {
	t.Helper()
	p, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))
	if err != nil {
		t.Fatal(err)
	}
	for code, v := range options {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), v))
	}
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	ones := make([]byte, 17)
	for i := range ones[1:] {
		ones[1+i] = 0xff
	}
	type opts = map[uint8][]byte
	for _, c := range []struct {
		name    string
		options opts
		want    Client
	}{
		{"nothing", nil, Client{}},
		{"a BMC", opts{60: []byte("udhcp 1.30")}, Client{Class: "udhcp 1.30"}},
		{"arch by option 60 alone", opts{60: []byte("PXEClient:Arch:00009:UNDI:003016")},
			Client{Class: "PXEClient:Arch:00009:UNDI:003016", PXE: true, Arch: EFIBC, HasArch: true}},
		{"option 60 cut short", opts{60: []byte("PXEClient:Arch:0")}, Client{Class: "PXEClient:Arch:0", PXE: true}},
		{"option 60 with no number", opts{60: []byte("PXEClient:Arch:abcde")}, Client{Class: "PXEClient:Arch:abcde", PXE: true}},
		{"control characters", opts{60: []byte("PXEClient\n\x1b[2J\xff")}, Client{Class: "PXEClient..[2J.", PXE: true}},
		{"several architectures", opts{93: {0, 11, 0, 7}}, Client{Arch: EFIARM64, HasArch: true}},
		{"half an architecture", opts{93: {0, 11, 0}}, Client{}},
		{"iPXE, raw", opts{77: []byte("iPXE")}, Client{IPXE: true}},
		{"iPXE, RFC 3004", opts{77: []byte("\x04iPXE")}, Client{IPXE: true}},
		{"iPXE, RFC 3004, second", opts{77: []byte("\x03foo\x04iPXE")}, Client{IPXE: true}},
		{"user class of another", opts{77: []byte("iPXE2")}, Client{}},
		{"user class cut short", opts{77: []byte("\x09iPXE")}, Client{}},
		{"user class of length zero", opts{77: []byte("\x00iPXE")}, Client{}},
		{"iPXE without HTTP", opts{77: []byte("iPXE"), 175: {0x15, 1, 1, 0, 0x13, 1, 0, 255, 0x14, 1, 1}},
			Client{IPXE: true, Features: Features{Sent: true, TFTP: true}}},
		{"features cut short", opts{77: []byte("iPXE"), 175: {0x13, 1, 1, 0xeb, 3, 1}},
			Client{IPXE: true, Features: Features{Sent: true, HTTP: true}}},
		{"option 175 of no iPXE", opts{175: {0x13, 1, 1}}, Client{}},
		{"UUID of zeros", opts{97: make([]byte, 17)}, Client{}},
		{"UUID of ones", opts{97: ones}, Client{}},
		{"UUID of another type", opts{97: append([]byte{1}, "0123456789abcdef"...)}, Client{}},
		{"UNDI of another type", opts{94: {2, 3, 16}}, Client{}},
	} {
		if d := cmp.Diff(c.want, Parse(packet(t, c.options))); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestClientSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		client            Client
		kind, says        string
		netboot, noHTTP   bool
		x64, arm64, isEFI bool
	}{
		{Client{}, "dhcp", "DHCP client", false, false, false, false, false},
		{Client{PXE: true}, "pxe", "PXE (BIOS)", true, false, false, false, false},
		{Client{HTTP: true, Arch: EFIARM64HTTP}, "http", "UEFI HTTP boot (UEFI arm64 HTTP)", true, false, false, true, true},
		{Client{IPXE: true, PXE: true, Arch: EFIX64}, "ipxe", "iPXE (UEFI x86-64)", true, false, true, false, true},
		{Client{IPXE: true, Features: Features{Sent: true, Version: "1.21.1"}}, "ipxe", "iPXE 1.21.1 (BIOS)", true, true, false, false, false},
		{Client{PXE: true, Arch: 31}, "pxe", "PXE (architecture 31)", true, false, false, false, false},
	} {
		a := c.client.Arch
		got := []any{c.client.Kind(), c.client.String(), c.client.Netboot(), c.client.Features.NoHTTP(), a.X64(), a.ARM64(), a.UEFI()}
		want := []any{c.kind, c.says, c.netboot, c.noHTTP, c.x64, c.arm64, c.isEFI}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%+v (-want +got):\n%s", c.client, d)
		}
	}
}

func TestVendor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		opt  []byte
		want Vendor
	}{
		{"none", nil, Vendor{}},
		{"ours", VendorUseBootFile().Value.ToBytes(), Vendor{DiscoveryControl: 8, HasControl: true}},
		{"boot item", []byte{71, 4, 0x80, 1, 0, 2, 255}, Vendor{BootItem: 0x8001, Layer: 2, HasItem: true}},
		{"cut short", []byte{71, 4, 0x80}, Vendor{}},
		{"a length too many", []byte{6, 2, 8, 8, 255}, Vendor{}},
	} {
		if d := cmp.Diff(c.want, ParseVendor(packet(t, map[uint8][]byte{43: c.opt}))); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// FuzzParse: whatever a packet holds, it is read without a panic and nothing that could disturb a log comes out.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"ipxe-bios", "ipxe-uefi", "ovmf-pxe", "ovmf-http"} {
		f.Add(captured(f, name).ToBytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		c := Parse(p)
		ParseVendor(p)
		for _, s := range []string{c.Class, c.UUID, c.UNDI, c.Features.Version, c.String()} {
			for _, r := range s {
				if r < 0x20 || r > 0x7e {
					t.Errorf("%q has %q in it", s, r)
				}
			}
		}
		if len(c.UUID) != 0 && len(c.UUID) != 36 {
			t.Errorf("UUID %q", c.UUID)
		}
	})
}
