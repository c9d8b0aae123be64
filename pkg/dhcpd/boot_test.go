package dhcpd

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
)

func isIPXE(d *dhcpv4.DHCPv4) { dhcpv4.WithUserClass("iPXE", false)(d) }

// features is option 175 as iPXE sends it: HTTP, or TFTP only, and the version.
func features(b ...byte) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(175), b))
}

const script = "http://172.24.213.1:8080/boot.ipxe"

func TestBootFile(t *testing.T) {
	type mods = []dhcpv4.Modifier
	for _, c := range []struct {
		name    string
		mac     rack.MAC
		mods    mods
		file    string
		class   string // option 60 of the reply
		problem string
	}{
		{"BIOS", macServer, mods{firmware("PXEClient", pxe.BIOS)}, "undionly.kpxe", "PXEClient", ""},
		{"UEFI x86-64", macServer, mods{firmware("PXEClient", pxe.EFIX64)}, "ipxe.efi", "PXEClient", ""},
		{"UEFI byte code", macServer, mods{firmware("PXEClient", pxe.EFIBC)}, "ipxe.efi", "PXEClient", ""},
		{"arm64", macServer, mods{firmware("PXEClient", pxe.EFIARM64)}, "", "", "snp-arm64.efi is not in the payload"},
		{"ia32", macServer, mods{firmware("PXEClient", pxe.EFIIA32)}, "", "", "no boot program for UEFI ia32"},
		{"HTTP boot", macServer, mods{firmware("HTTPClient", pxe.EFIX64HTTP)},
			"http://172.24.213.1:8080/assets/ipxe/ipxe.efi", "HTTPClient", ""},
		{"HTTP boot of arm64", macServer, mods{firmware("HTTPClient", pxe.EFIARM64HTTP)}, "", "", "no boot program"},
		{"iPXE", macServer, mods{firmware("PXEClient", pxe.EFIX64), isIPXE}, script, "", ""},
		{"iPXE, RFC 3004", macServer, mods{dhcpv4.WithUserClass("iPXE", true)}, script, "", ""},
		{"iPXE with HTTP", macServer, mods{isIPXE, features(0x13, 1, 1, 0x15, 1, 1)}, script, "", ""},
		{"iPXE of arm64 needs no program", macServer, mods{firmware("PXEClient", pxe.EFIARM64), isIPXE}, script, "", ""},
		{"iPXE without HTTP", macServer, mods{isIPXE, features(0x15, 1, 1)}, "undionly.kpxe", "", ""},
		{"UEFI iPXE without HTTP", macServer, mods{firmware("PXEClient", pxe.EFIX64), isIPXE, features(0x15, 1, 1)}, "snponly.efi", "", ""},
		{"no netboot", macServer, nil, "", "", ""},
		{"BMC", macBMC, mods{firmware("PXEClient", pxe.BIOS)}, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			for _, in := range []*dhcpv4.DHCPv4{
				message(t, c.mac, discov, c.mods...),
				message(t, c.mac, reqst, append(mods{wants(machines()[c.mac].IP)}, c.mods...)...),
			} {
				x := s.reply(in, meta{at: start})
				out := x.out
				got := []string{out.BootFileName, out.BootFileNameOption(), x.seen.File, out.ClassIdentifier()}
				if d := cmp.Diff([]string{c.file, c.file, c.file, c.class}, got); d != "" {
					t.Errorf("%s: file in BOOTP, option 67, seen; class (-want +got):\n%s", x.seen.Reply, d)
				}
				if (c.file != "") != (addr(out.ServerIPAddr) == ours && out.TFTPServerName() == ours.String()) {
					t.Errorf("%s: next-server = %s, option 66 = %q", x.seen.Reply, out.ServerIPAddr, out.TFTPServerName())
				}
				if !strings.Contains(x.seen.Problem, c.problem) || (c.problem == "") != (x.seen.Problem == "") {
					t.Errorf("%s: problem = %q, want %q", x.seen.Reply, x.seen.Problem, c.problem)
				}
				checkVendor(t, out, c.class == pxe.ClassPXE)
			}
		})
	}
}

// checkVendor checks what EDK2 and BIOS need to take the file at once, and option 97, which PXE wants back.
func checkVendor(t *testing.T, out *dhcpv4.DHCPv4, want bool) {
	t.Helper()
	v := pxe.ParseVendor(out)
	if (v.HasControl && v.DiscoveryControl == 8) != want {
		t.Errorf("option 43 = %+v, wanted: %v", v, want)
	}
	if got := string(out.Options.Get(dhcpv4.OptionClientMachineIdentifier)) == string(machineID()); got != want {
		t.Errorf("option 97 given back: %v, wanted: %v", got, want)
	}
}

// TestFallback: with one UEFI program alone, it serves all UEFI machines.
func TestFallback(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.programs = programs{"snponly.efi"}
	x := s.reply(message(t, macServer, discov, firmware("PXEClient", pxe.EFIX64)), meta{at: start})
	if x.seen.File != "snponly.efi" {
		t.Errorf("file = %q", x.seen.File)
	}
}

// TestChainAlways follows a machine whose NIC has an iPXE of its own, over two boots.
func TestChainAlways(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *Config) { c.ChainAlways = true })
	ask := func(typ dhcpv4.MessageType, mods ...dhcpv4.Modifier) string {
		t.Helper()
		mods = append(mods, wants(ipNode))
		return s.reply(message(t, macServer, typ, mods...), meta{at: time.Now()}).seen.File
	}
	for boot := range 2 {
		got := []string{ask(discov, isIPXE), ask(reqst, isIPXE)}
		s.Fetched(ipNode)
		got = append(got, ask(discov, isIPXE), ask(reqst, isIPXE))
		if d := cmp.Diff([]string{"undionly.kpxe", "undionly.kpxe", script, script}, got); d != "" {
			t.Errorf("boot %d (-want +got):\n%s", boot, d)
		}
	}
	s.Fetched(ipNode)
	s.Fetched(netip.MustParseAddr("172.24.213.77"))
	pc := firmware("PXEClient", pxe.BIOS)
	got := []string{ask(discov, pc), ask(reqst, pc), ask(discov, isIPXE)}
	if d := cmp.Diff([]string{"undionly.kpxe", "undionly.kpxe", "undionly.kpxe"}, got); d != "" {
		t.Errorf("a new boot of the firmware counts what was fetched before (-want +got):\n%s", d)
	}
}
