package hwinfo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

func TestSystem(t *testing.T) {
	t.Parallel()
	got, err := newTree(t, "q35.sysfs").reader().System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := System{Serial: "S0001", UUID: "11112222-3333-4444-5555-666677778888", Vendor: "Supermicro", Product: "SYS-1029P",
		Firmware: "bios", CPUs: 2, MemoryBytes: 981336 << 10, NICs: []api.NIC{
			{Name: "eth0", MAC: "52:54:00:00:00:02", Driver: "e1000"},
			{Name: "eth1", MAC: "52:54:00:00:00:01", Driver: "virtio_net"},
		}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSystemOfUEFI(t *testing.T) {
	t.Parallel()
	tr := newTree(t, "q35.sysfs")
	tr.add(`D /sys/firmware/efi/efivars
		F /sys/class/dmi/id/product_serial "To be filled by O.E.M.\n"
		F /sys/class/dmi/id/product_uuid "00000000-0000-0000-0000-000000000000\n"
		F /sys/class/dmi/id/sys_vendor "  Dell\x00 Inc. \n"
		F /sys/devices/pci0000:00/0000:00:02.0/net/eth0/carrier "1\n"`)
	got, err := tr.reader().System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"uefi", "", "", "Dell  Inc."}
	if diff := cmp.Diff(want, []string{got.Firmware, got.Serial, got.UUID, got.Vendor}); diff != "" {
		t.Error(diff)
	}
	if !got.NICs[0].Link || got.NICs[1].Link {
		t.Errorf("links: %+v", got.NICs)
	}
}

func TestSystemErrors(t *testing.T) {
	t.Parallel()
	tr := newTree(t)
	if _, err := tr.reader().System(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no /proc/meminfo: %v", err)
	}
	tr.add(`F /proc/meminfo "MemFree: 5 kB\n"`)
	if _, err := tr.reader().System(t.Context()); err == nil || !strings.Contains(err.Error(), "no MemTotal") {
		t.Errorf("no MemTotal: %v", err)
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "0", "00000000", "None", "N/A", "To Be Filled By O.E.M.", "Default string", "Not Specified",
		"System Serial Number", "0123456789", "xxxxxxxx", "........", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
		"03000200-0400-0500-0006-000700080009", "Unknown", " * "} {
		if !isPlaceholder(s) {
			t.Errorf("%q is taken for real", s)
		}
	}
	for _, s := range []string{"S0001", "0A", "CZ20100F0F", "4C4C4544-0051-3010-8058-B9C04F4D3732", "10000000", "XA12"} {
		if isPlaceholder(s) {
			t.Errorf("%q is not taken for real", s)
		}
	}
}

func TestCountList(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"0": 1, "0-3": 4, "0-3,8,10-11": 7, "": 0, "3-1": 0, "a": 0, "0-": 0} {
		if got := countList(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

func TestHardwareOfThisMachine(t *testing.T) {
	t.Parallel()
	h, err := Reader{}.Hardware(t.Context())
	if err != nil || h.CPUs < 1 || h.MemoryBytes < 1<<20 {
		t.Errorf("%+v, %v", h, err)
	}
}

// scripted is a BMC that answers what it was told to: channel medium by Get Channel Info, MAC by Get LAN Configuration.
type scripted struct {
	medium map[byte][]byte
	mac    map[byte][]byte
	asked  []string
	err    error
}

func (s *scripted) exchange(_ context.Context, netFn, cmd byte, data []byte) ([]byte, error) {
	s.asked = append(s.asked, fmt.Sprintf("%02x %02x %x", netFn, cmd, data))
	answers := s.medium
	if netFn == netFnTransport {
		answers = s.mac
	}
	a, ok := answers[data[0]]
	if !ok {
		a = []byte{0xcc} // invalid data field
	}
	return a, s.err
}

func TestLANMAC(t *testing.T) {
	t.Parallel()
	lan, serial := []byte{0, 1, 4, 1}, []byte{0, 2, 5, 1}
	mac := []byte{0, 0x11, 0x52, 0x54, 0, 0xbb, 0, 7}
	zero := []byte{0, 0x11, 0, 0, 0, 0, 0, 0}
	for _, tt := range []struct {
		name  string
		bmc   scripted
		want  string
		err   string
		asked int // requests; 0 is any number
	}{
		{"first channel", scripted{medium: map[byte][]byte{1: lan}, mac: map[byte][]byte{1: mac}}, "52:54:00:bb:00:07", "", 2},
		{"a serial channel is not asked", scripted{medium: map[byte][]byte{1: serial, 8: lan},
			mac: map[byte][]byte{1: {0, 0x11, 2, 2, 2, 2, 2, 2}, 8: mac}}, "52:54:00:bb:00:07", "", 0},
		{"medium is not told", scripted{mac: map[byte][]byte{1: mac}}, "52:54:00:bb:00:07", "", 2},
		{"a zero MAC is none", scripted{medium: map[byte][]byte{1: lan, 2: lan}, mac: map[byte][]byte{1: zero, 2: mac}},
			"52:54:00:bb:00:07", "", 4},
		{"no LAN", scripted{medium: map[byte][]byte{1: serial}}, "", "no LAN channel has a MAC", 0},
		{"short answer", scripted{medium: map[byte][]byte{1: lan}, mac: map[byte][]byte{1: mac[:7]}}, "", "no LAN channel has a MAC", 0},
		{"empty answer", scripted{medium: map[byte][]byte{1: {}}}, "", "empty answer", 1},
		{"device error", scripted{err: os.ErrDeadlineExceeded}, "", "IPMI request 42h of function 06h", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := lanMAC(t.Context(), &tt.bmc)
			if got.String() != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s, %v", got, err)
			}
			if tt.asked != 0 && len(tt.bmc.asked) != tt.asked {
				t.Errorf("asked %q", tt.bmc.asked)
			}
		})
	}
}

func TestBMCMACWithoutDevice(t *testing.T) {
	t.Parallel()
	tr := newTree(t)
	if _, err := tr.reader().BMCMAC(t.Context()); !errors.Is(err, ErrNoBMC) {
		t.Errorf("no hardware: %v", err)
	}
	// A driver is bound, but the node never comes: the wait ends with the context.
	tr.add(`D /sys/class/ipmi/ipmi0`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := tr.reader().BMCMAC(ctx)
	if !errors.Is(err, ErrNoBMC) || !strings.Contains(err.Error(), "does not appear") {
		t.Errorf("no node: %v", err)
	}
}

func TestBMCMACOfSomethingElse(t *testing.T) {
	t.Parallel()
	tr := newTree(t)
	tr.device("ipmi0", 0) // a file, which knows no request of IPMI
	_, err := tr.reader().BMCMAC(t.Context())
	if err == nil || errors.Is(err, ErrNoBMC) || !strings.Contains(err.Error(), "inappropriate ioctl") {
		t.Errorf("%v", err)
	}
}
