package hwinfo

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

const gb = 1_000_000_000

func TestChooseDisk(t *testing.T) {
	t.Parallel()
	disks := []api.Disk{
		{Name: "sda", Path: "/dev/sda", Size: 4000 * gb, Model: "WDC", Serial: "WD-1", WWN: "0x50014ee2b1a2c3d4",
			ByPath: "pci-0000:00:17.0-ata-1", Transport: "sata"},
		{Name: "sdb", Path: "/dev/sdb", Size: 480 * gb, Serial: "S1", WWN: "0x5000c500a1b2c3d4", ByPath: "pci-0000:00:17.0-ata-2"},
		{Name: "sdc", Path: "/dev/sdc", Size: 8 * gb, Serial: "USB1", Transport: "usb", Rejected: "attached by usb"},
		{Name: "nvme10n1", Path: "/dev/nvme10n1", Size: 480 * gb, Serial: "N10", WWN: "eui.0025385B71B0A3C1"},
		{Name: "nvme1n1", Path: "/dev/nvme1n1", Size: 480 * gb, Serial: "N1", ByPath: "pci-0000:01:00.0-nvme-1"},
		{Name: "vda", Path: "/dev/vda", Size: 5 * gb, ByPath: "pci-0000:00:05.0"},
		{Name: "vdb", Path: "/dev/vdb", Size: 600 * gb, Serial: "TWIN"},
		{Name: "vdc", Path: "/dev/vdc", Size: 600 * gb, Serial: "TWIN"},
	}
	for _, tt := range []struct {
		name string
		rule api.DiskRule
		want string // name of the disk
		err  string // part of the error
	}{
		{"smallest large enough, first by path", api.DiskRule{MinSize: 10 * gb}, "sdb", ""},
		{"smallest of all", api.DiskRule{}, "vda", ""},
		{"exactly as large", api.DiskRule{MinSize: 4000 * gb}, "sda", ""},
		{"none large enough", api.DiskRule{MinSize: 4000*gb + 1}, "", "sda (WDC, 4.0 TB, serial WD-1): smaller than"},
		{"none names the rejected too", api.DiskRule{MinSize: 5000 * gb}, "", "sdc (8.0 GB, serial USB1): attached by usb"},
		{"by serial", api.DiskRule{Name: "wd-1"}, "sda", ""},
		{"by WWN", api.DiskRule{Name: "0x50014EE2B1A2C3D4"}, "sda", ""},
		{"by WWN as in by-id", api.DiskRule{Name: "wwn-0x5000c500a1b2c3d4"}, "sdb", ""},
		{"by path of by-id", api.DiskRule{Name: "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4"}, "sdb", ""},
		{"by NAA", api.DiskRule{Name: "naa.5000c500a1b2c3d4"}, "sdb", ""},
		{"by EUI", api.DiskRule{Name: "nvme-eui.0025385b71b0a3c1"}, "nvme10n1", ""},
		{"by by-path", api.DiskRule{Name: "pci-0000:01:00.0-nvme-1"}, "nvme1n1", ""},
		{"by by-path with directory", api.DiskRule{Name: "/dev/disk/by-path/pci-0000:00:17.0-ata-1.0"}, "sda", ""},
		{"by old by-path of virtio", api.DiskRule{Name: "virtio-pci-0000:00:05.0"}, "vda", ""},
		{"by device name: not stable, not taken", api.DiskRule{Name: "/dev/sda"}, "", "is not there"},
		{"by a part of a by-path", api.DiskRule{Name: "pci-0000:00:17.0-ata"}, "", "is not there"},
		{"named but rejected", api.DiskRule{Name: "USB1"}, "", "cannot be used: sdc (8.0 GB, serial USB1): attached by usb"},
		{"named but too small", api.DiskRule{Name: "pci-0000:00:05.0", MinSize: 6 * gb}, "", "is too small"},
		{"named twice", api.DiskRule{Name: "TWIN"}, "", "could be each of: vdb (600.0 GB, serial TWIN), vdc"},
		{"remembered by serial", api.DiskRule{Remembered: "N1", MinSize: gb}, "nvme1n1", ""},
		{"remembered wins over the name", api.DiskRule{Remembered: "N1", Name: "S1"}, "nvme1n1", ""},
		{"remembered is gone", api.DiskRule{Remembered: "GONE", MinSize: gb}, "", "the disk that was used before, GONE, is not there"},
		{"remembered is gone, another is named", api.DiskRule{Remembered: "GONE", Name: "S1"}, "", "GONE, is not there"},
		{"remembered is too small now", api.DiskRule{Remembered: "N1", MinSize: 500 * gb}, "", "is too small"},
		{"remembered twice", api.DiskRule{Remembered: "TWIN"}, "", "could be each of"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := ChooseDisk(disks, tt.rule)
			if got.Name != tt.want {
				t.Errorf("chose %q, want %q; error %v", got.Name, tt.want, err)
			}
			if (err != nil) != (tt.err != "") || err != nil && (!errors.Is(err, ErrNoDisk) || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

func TestChooseDiskTies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want  string
		names []string
	}{
		{"vda", []string{"vdaa", "vdb", "vda"}},
		{"vdb", []string{"vdaa", "vdb", "vdc"}},
		{"nvme0n1", []string{"nvme10n1", "nvme1n1", "nvme0n1"}},
		{"nvme2n1", []string{"nvme10n1", "nvme2n2", "nvme2n1"}},
	} {
		var disks []api.Disk
		for _, n := range tt.names {
			disks = append(disks, api.Disk{Name: n, Path: "/dev/" + n, Size: gb})
		}
		if got, _, err := ChooseDisk(disks, api.DiskRule{}); err != nil || got.Name != tt.want {
			t.Errorf("of %v: %s, %v", tt.names, got.Name, err)
		}
	}
}

func TestChooseDiskOfNone(t *testing.T) {
	t.Parallel()
	_, _, err := ChooseDisk(nil, api.DiskRule{MinSize: 8 * gb})
	want := "no disk to install on of at least 8.0 GB: the machine shows no disk at all"
	if !errors.Is(err, ErrNoDisk) || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestNatural(t *testing.T) {
	t.Parallel()
	want := []string{"", "md1", "sda", "sdb", "vda", "vda1", "vda2", "vda10", "vdb", "nvme0n1", "nvme0n2", "nvme1n1",
		"nvme2n1", "nvme10n1", "vdaa", "mmcblk0"}
	got := slices.Clone(want)
	rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, natural)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOtherSystems(t *testing.T) {
	t.Parallel()
	disks := []api.Disk{
		{Name: "sda", Path: "/dev/sda", Size: 480 * gb, Model: "X1", Contents: []string{"gpt", "OS: Flatcar"}},
		{Name: "sdb", Path: "/dev/sdb", Size: 1000 * gb, Serial: "S2", Contents: []string{"gpt", "ext4 data", "OS: Windows"}},
		{Name: "sdc", Path: "/dev/sdc", Size: gb, Contents: []string{"gpt", "ext4 OS: no"}},
	}
	want := []string{"sdb (1.0 TB, serial S2): Windows"}
	if diff := cmp.Diff(want, OtherSystems(disks, disks[0])); diff != "" {
		t.Error(diff)
	}
}

func TestBytesText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 8_500_000_000: "8.5 GB", 999_960_000_000: "1.0 TB",
		480_103_981_056: "480.1 GB", 1 << 62: "4611.7 PB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
