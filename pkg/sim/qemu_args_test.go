package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/rack"
)

func TestBootOrder(t *testing.T) {
	node := &rack.Node{Primary: rack.MAC{0x52, 0x54, 0, 0, 0, 1}, Secondary: rack.MAC{0x52, 0x54, 0, 0, 0, 2}}
	tests := []struct {
		name     string
		firmware string
		disk     bool
		want     []string // devices by bootindex
	}{
		{"BIOS, network", FirmwareBIOS, false, []string{"nic0", "disk0", "disk1"}},
		{"BIOS, disk", FirmwareBIOS, true, []string{"disk0", "disk1", "nic0"}},
		{"UEFI, network", FirmwareUEFI, false, []string{"nic0", "disk0", "disk1"}},
		{"UEFI, disk", FirmwareUEFI, true, []string{"disk0", "disk1", "nic0"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := Machine{Firmware: test.firmware, Memory: 512, CPUs: 1, Disks: []Disk{{Serial: "a"}, {Serial: "b"}}}
			got := make([]string, len(test.want))
			for _, arg := range qemuArgs(node, m, launch{diskFirst: test.disk}) {
				_, index, ok := strings.Cut(arg, "bootindex=")
				if !ok {
					continue
				}
				at := slices.IndexFunc([]string{"nic0", "disk0", "disk1"}, func(d string) bool { return strings.Contains(arg, "="+d+",") })
				got[index[0]-'1'] = []string{"nic0", "disk0", "disk1"}[at]
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("boot order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQEMUArgs(t *testing.T) {
	node := &rack.Node{Primary: rack.MAC{0x52, 0x54, 0, 0, 0, 1}}
	bios := Machine{Firmware: FirmwareBIOS, Memory: 512, CPUs: 2, Serial: "S1"}
	uefi := Machine{Firmware: FirmwareUEFI, Memory: 512, CPUs: 1}
	http := uefi
	http.HTTPBoot = true
	further := uefi
	further.NICs = []rack.MAC{{2, 0, 0, 0, 0, 1}}
	clock := time.Date(2010, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name      string
		m         Machine
		l         launch
		has, lack string
	}{
		{"never KVM", bios, launch{}, "-accel tcg", "kvm"},
		{"serial number", bios, launch{}, "serial=S1,uuid=", ""},
		{"no secondary NIC", bios, launch{}, "id=nic0", "id=nic1"},
		{"further NICs", further, launch{furtherFDs: []int{7}}, "virtio-net-pci,netdev=nic2,mac=02:00:00:00:00:01,romfile=", "id=nic3"},
		{"NIC ROM in BIOS", bios, launch{}, "bootindex=1", "romfile="},
		{"OVMF's own PXE", uefi, launch{}, "romfile=", "IPv4PXESupport"},
		{"HTTP boot", http, launch{}, "name=opt/org.tianocore/IPv4PXESupport,string=no", ""},
		{"no in-band BMC", bios, launch{}, "", "ipmi"},
		{"in-band BMC", bios, launch{inBand: true}, "isa-ipmi-kcs", ""},
		{"right clock", bios, launch{}, "base=utc", ""},
		{"wrong clock", bios, launch{clock: clock}, "base=2010-01-02T03:04:05", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(qemuArgs(node, test.m, test.l), " ")
			if !strings.Contains(got, test.has) || (test.lack != "" && strings.Contains(got, test.lack)) {
				t.Errorf("want %q and not %q in: %s", test.has, test.lack, got)
			}
		})
	}
}

func TestMachineUUID(t *testing.T) {
	const want = "1e3942a5-1d6c-5f97-9567-92dfeabc3d74"
	a, b := rack.MAC{2, 0, 0, 0, 0, 1}, rack.MAC{2, 0, 0, 0, 0, 2}
	if got := machineUUID(a); got != want {
		t.Errorf("a machine's UUID was %s and now is %s", want, got)
	}
	if machineUUID(a) == machineUUID(b) {
		t.Errorf("two machines have the UUID %s", machineUUID(a))
	}
	if u := machineUUID(a); len(u) != 36 || u[14] != '5' || !strings.ContainsRune("89ab", rune(u[19])) {
		t.Errorf("%s is no name-based UUID", u)
	}
}
