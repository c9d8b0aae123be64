package hwinfo

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

func ptr[T any](v T) *T { return &v }

// TestChooseDiskByRule has the criteria of a cluster's folder, and how many disks each leaves.
func TestChooseDiskByRule(t *testing.T) {
	t.Parallel()
	disks := []api.Disk{
		{Name: "sda", Path: "/dev/sda", Size: 4000 * gb, Model: "WDC WD4003", Serial: "W1", Rotational: true, SectorSize: 512},
		{Name: "sdb", Path: "/dev/sdb", Size: 480 * gb, Model: "Samsung SM883", Serial: "S1", WWN: "0x5000c500a1b2c3d4", ByPath: "pci-0000:00:17.0-ata-2"},
		{Name: "sdc", Path: "/dev/sdc", Size: 480 * gb, Model: "Samsung SM883", Serial: "S2"},
		{Name: "sdd", Path: "/dev/sdd", Size: 240 * gb, Model: "Micron/5300 [x]", Serial: "M1"},
		{Name: "sde", Path: "/dev/sde", Size: 120 * gb, Model: "Micron 4Kn", Serial: "K1", SectorSize: 4096},
		{Name: "sdf", Path: "/dev/sdf", Size: 64 * gb, Model: "Samsung stick", Serial: "U1", Rejected: "removable"},
	}
	for _, tt := range []struct {
		name    string
		rule    api.DiskRule
		want    string
		matched int
		err     string
	}{
		{"smallest, but not of other sectors", api.DiskRule{}, "sdd", 1, ""},
		{"smallest of two alike", api.DiskRule{MinSize: 300 * gb}, "sdb", 2, ""},
		{"model", api.DiskRule{Model: "samsung*"}, "sdb", 2, ""},
		{"whole model, with what a pattern could mean", api.DiskRule{Model: "Micron/5300 [x]"}, "sdd", 1, ""},
		{"part of a model", api.DiskRule{Model: "Samsung"}, "", 0, "(model Samsung): sda (WDC WD4003, 4.0 TB, serial W1): another model; sdb"},
		{"rotational", api.DiskRule{Rotational: ptr(true)}, "sda", 1, ""},
		{"not rotational", api.DiskRule{Rotational: ptr(false), MinSize: 300 * gb}, "sdb", 2, ""},
		{"at most", api.DiskRule{MaxSize: 240 * gb}, "sdd", 1, ""},
		{"in a range", api.DiskRule{MinSize: 1000 * gb, MaxSize: 8000 * gb}, "sda", 1, ""},
		{"in an empty range", api.DiskRule{MinSize: 500 * gb, MaxSize: 1000 * gb}, "", 0, "(at most 1.0 TB): sda (WDC WD4003, 4.0 TB, serial W1): larger than 1.0 TB"},
		{"serial", api.DiskRule{Serial: "s2"}, "sdc", 1, ""},
		{"WWN", api.DiskRule{WWN: "wwn-0x5000C500A1B2C3D4"}, "sdb", 1, ""},
		{"place", api.DiskRule{ByPath: "/dev/disk/by-path/pci-0000:00:17.0-ata-2.0"}, "sdb", 1, ""},
		{"serial of another model", api.DiskRule{Serial: "S2", Model: "WDC*"}, "", 0, "sdc (Samsung SM883, 480.0 GB, serial S2): another model"},
		{"serial of a disk with other sectors", api.DiskRule{Serial: "K1"}, "", 0, "its sectors have 4096 bytes, and the image is made for sectors of 512"},
		{"named, with other sectors", api.DiskRule{Name: "K1"}, "", 0, "cannot be used: sde (Micron 4Kn, 120.0 GB, serial K1): its sectors have 4096 bytes"},
		{"image for large sectors", api.DiskRule{SectorSize: 4096}, "sde", 1, ""},
		{"remembered among several", api.DiskRule{Model: "samsung*", Remembered: "S2"}, "sdc", 1, ""},
		{"remembered, and not what is asked for now", api.DiskRule{Model: "WDC*", Remembered: "S2"}, "sda", 1, ""},
		{"remembered is gone, and something is asked for", api.DiskRule{Model: "WDC*", Remembered: "GONE"}, "sda", 1, ""},
		{"rejected", api.DiskRule{Serial: "U1"}, "", 0, "sdf (Samsung stick, 64.0 GB, serial U1): removable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, matched, err := ChooseDisk(disks, tt.rule)
			if got.Name != tt.want || matched != tt.matched && err == nil {
				t.Errorf("chose %q of %d, want %q of %d; error %v", got.Name, matched, tt.want, tt.matched, err)
			}
			if (err != nil) != (tt.err != "") || err != nil && (!errors.Is(err, ErrNoDisk) || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
	twins := []api.Disk{{Name: "vda", Path: "/dev/vda", Size: gb, Serial: "T"}, {Name: "vdb", Path: "/dev/vdb", Size: 2 * gb, Serial: "T"}}
	if _, _, err := ChooseDisk(twins, api.DiskRule{Serial: "T"}); !errors.Is(err, ErrNoDisk) || !strings.Contains(err.Error(), "fits each of: vda") {
		t.Errorf("one serial of two disks: %v", err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	system := []string{"gpt", "OS: Flatcar"}
	install := api.Disk{Name: "vda", Path: "/dev/vda", Size: 10 * gb, Serial: "A"}
	old := api.Disk{Name: "vdb", Path: "/dev/vdb", Size: 20 * gb, Serial: "B", Contents: system, OS: "Flatcar"}
	data := api.Disk{Name: "vdc", Path: "/dev/vdc", Size: 30 * gb, Serial: "C", Contents: []string{"ext4 data"}, Foreign: []string{"whole disk: ext4 data"}}
	usb := api.Disk{Name: "sda", Path: "/dev/sda", Size: 20 * gb, Contents: system, OS: "Flatcar", Rejected: "attached by usb"}
	with := func(change func(*api.Disk)) api.Disk {
		d := install
		change(&d)
		return d
	}
	raid := with(func(d *api.Disk) {
		d.Contents, d.Foreign = []string{"mdraid member"}, []string{"whole disk: mdraid member"}
	})
	lvm := with(func(d *api.Disk) {
		d.Contents, d.Foreign = []string{"gpt", "LVM2 physical volume"}, []string{"partition 2: LVM2 physical volume"}
	})
	for _, tt := range []struct {
		name  string
		disks []api.Disk
		erase api.EraseRule
		wipes []string
		err   []string
	}{
		{"empty disk, others have data", []api.Disk{install, data, usb}, api.EraseRule{}, nil, nil},
		{"Flatcar on the install disk", []api.Disk{with(func(d *api.Disk) { d.Contents, d.OS = system, "Flatcar" })}, api.EraseRule{}, nil, nil},
		{"foreign", []api.Disk{raid}, api.EraseRule{}, nil, []string{"vda (10.0 GB, serial A) holds what racker did not put there: whole disk: mdraid member; --wipe-foreign allows it"}},
		{"foreign, allowed", []api.Disk{raid}, api.EraseRule{WipeForeign: true}, nil, nil},
		{"foreign partition", []api.Disk{lvm}, api.EraseRule{}, nil, []string{"partition 2: LVM2 physical volume"}},
		{"foreign partition on racker's own disk", []api.Disk{lvm}, api.EraseRule{Own: "a"}, nil, nil},
		{"racker's own disk, made a RAID since", []api.Disk{raid}, api.EraseRule{Own: "A"}, nil, []string{"whole disk: mdraid member"}},
		{"older system", []api.Disk{install, old}, api.EraseRule{}, nil, []string{"vdb (20.0 GB, serial B) holds an older system (Flatcar)", "--wipe-old-os"}},
		{"older system, allowed", []api.Disk{install, old, data}, api.EraseRule{WipeOldOS: true}, []string{"vdb"}, nil},
		{"all", []api.Disk{install, old, data, usb}, api.EraseRule{Wipe: api.WipeAll}, []string{"vdb", "vdc"}, nil},
		{"none, and it is empty", []api.Disk{install, data}, api.EraseRule{Wipe: api.WipeNone}, nil, nil},
		{"none, and it is not", []api.Disk{lvm}, api.EraseRule{Wipe: api.WipeNone, WipeForeign: true}, nil, []string{"holds gpt, LVM2 physical volume, and wipe: none"}},
		{"all that is against it at once", []api.Disk{raid, old}, api.EraseRule{}, nil, []string{"--wipe-foreign", "--wipe-old-os"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Plan(tt.disks, api.DiskRule{}, tt.erase)
			if (err != nil) != (tt.err != nil) || err != nil && !errors.Is(err, ErrErase) {
				t.Fatalf("error %v, want one with %q", err, tt.err)
			}
			for _, want := range tt.err {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
			var wipes []string
			for _, d := range got.Wipes {
				wipes = append(wipes, d.Name)
			}
			if diff := cmp.Diff(tt.wipes, wipes); diff != "" && tt.err == nil {
				t.Error(diff)
			}
			if got.Disk.Name != "vda" || got.Matched != 1 {
				t.Errorf("disk %s of %d", got.Disk.Name, got.Matched)
			}
		})
	}
	if _, err := Plan(nil, api.DiskRule{}, api.EraseRule{}); !errors.Is(err, ErrNoDisk) {
		t.Errorf("no disk: %v", err)
	}
}

// TestForeign has what is on disks, and what of that is somebody else's.
func TestForeign(t *testing.T) {
	t.Parallel()
	const size = 56 * mib
	flatcarDisk := func(root []byte) []byte {
		return gptDisk(t, size, []string{
			"--new=1:2048:+8M", "--typecode=1:ef00", "--change-name=1:EFI-SYSTEM", "--new=2:0:+2M", "--typecode=2:ef02", "--change-name=2:BIOS-BOOT",
			"--new=3:0:+8M", "--change-name=3:USR-A", "--new=6:0:+8M", "--change-name=6:OEM", "--new=9:0:+16M", "--change-name=9:ROOT",
		}, map[int][]byte{1: made(t, 8*mib, "mkfs.vfat"), 2: bytes.Repeat([]byte("grub"), 100), 3: at(map[int]string{0: "hsqs"}), 9: root})
	}
	ext4 := made(t, 16*mib, "mkfs.ext4", "-q", "-L", "ROOT")
	label := at(map[int]string{512: "LABELONE", 536: "LVM2 001"})
	for name, tt := range map[string]struct {
		b    []byte
		os   string
		want []string
	}{
		"empty":              {b: make([]byte, mib)},
		"random bytes":       {b: bytes.Repeat([]byte("no signature at all "), mib/20)},
		"file system":        {b: ext4, want: []string{"whole disk: ext4 ROOT"}},
		"LVM":                {b: label, want: []string{"whole disk: LVM2 physical volume"}},
		"ZFS":                {b: at(map[int]string{130 << 10: "\x0c\xb1\xba\x00\x00\x00\x00\x00"}), want: []string{"whole disk: ZFS member"}},
		"ZFS, big-endian":    {b: at(map[int]string{255 << 10: "\x00\x00\x00\x00\x00\xba\xb1\x0c"}), want: []string{"whole disk: ZFS member"}},
		"Ceph":               {b: at(map[int]string{0: "bluestore block device\n"}), want: []string{"whole disk: Ceph BlueStore"}},
		"bcache":             {b: at(map[int]string{4120: "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"}), want: []string{"whole disk: bcache"}},
		"Intel RAID":         {b: at(map[int]string{mib - 1024: "Intel Raid ISM Cfg Sig. 1.3.00"}), want: []string{"whole disk: Intel RAID member"}},
		"DDF RAID":           {b: at(map[int]string{mib - 512: "\xde\x11\xde\x11"}), want: []string{"whole disk: DDF RAID member"}},
		"LUKS":               {b: at(map[int]string{0: "LUKS\xba\xbe\x00\x01"}), want: []string{"whole disk: crypto_LUKS"}},
		"exFAT":              {b: at(map[int]string{3: "EXFAT   "}), want: []string{"whole disk: exfat"}},
		"F2FS":               {b: at(map[int]string{1024: "\x10\x20\xf5\xf2"}), want: []string{"whole disk: f2fs"}},
		"ISO 9660":           {b: at(map[int]string{32769: "CD001", 32808: "DEBIAN"}), want: []string{"whole disk: iso9660 DEBIAN"}},
		"Flatcar":            {b: flatcarDisk(ext4), os: "Flatcar"},
		"Flatcar, encrypted": {b: flatcarDisk(at(map[int]string{0: "LUKS\xba\xbe\x00\x01"})), os: "Flatcar"},
		"Flatcar on LVM":     {b: flatcarDisk(label), os: "Flatcar", want: []string{"partition 9: LVM2 physical volume ROOT"}},
		"Flatcar under md 1.0": {b: func() []byte {
			b := flatcarDisk(ext4)
			copy(b[size-8192:], mdMagic+"\x01\x00\x00\x00")
			return b
		}(), os: "Flatcar", want: []string{"whole disk: mdraid member"}},
		"another system": {
			b: gptDisk(t, size, []string{"--new=1:2048:+8M", "--typecode=1:ef00", "--new=2:0:+16M", "--new=3:0:+8M", "--new=4:0:+8M", "--change-name=4:spare", "--new=5:0:+8M"},
				map[int][]byte{1: made(t, 8*mib, "mkfs.vfat"), 2: ext4, 3: label, 5: []byte("something")}),
			os: "has an EFI system partition and a root file system (ext4)", want: []string{"partition 2: ext4 ROOT", "partition 3: LVM2 physical volume", "partition 5: unknown data"},
		},
		"data, no system": {b: gptDisk(t, size, []string{"--new=1:2048:+16M"}, map[int][]byte{1: ext4}), want: []string{"partition 1: ext4 ROOT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := lookAt(t.Context(), bytes.NewReader(tt.b), int64(len(tt.b)), 512)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.foreign); diff != "" || got.os != tt.os {
				t.Errorf("OS %q, foreign (-want +got):\n%s\ncontents %q", got.os, diff, got.contents)
			}
		})
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	const vda = "/sys/devices/pci0000:00/0000:00:05.0/virtio1/block/vda"
	tr := newTree(t, "q35.sysfs")
	tr.add("D " + vda + "/vda1/holders/md127\nD " + vda + "/vda2/holders/md127\nD " + vda + "/vda9/holders/dm-0\nD /sys/block/md127/holders/dm-1\n" +
		"D /sys/block/dm-1/holders/dm-2\n")
	for _, p := range []string{"vda1", "vda2", "vda9"} {
		tr.add("F " + vda + "/" + p + `/partition "1\n"`)
	}
	if diff := cmp.Diff([]string{"dm-2", "dm-1", "md127", "dm-0"}, tr.reader().Leftovers("vda")); diff != "" {
		t.Error(diff)
	}
	if got := tr.reader().Leftovers("none"); got != nil {
		t.Errorf("of no disk: %q", got)
	}
}
