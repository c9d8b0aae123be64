package hwinfo

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

// q35 is the whole capture of testdata/q35.sysfs, without contents.
func q35(t *testing.T) (*tree, []api.Disk) {
	t.Helper()
	tr := newTree(t, "q35.sysfs")
	disks, err := tr.reader().Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tr, disks
}

func find(t *testing.T, disks []api.Disk, name string) api.Disk {
	t.Helper()
	for _, d := range disks {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no disk %s", name)
	return api.Disk{}
}

func TestDisksOfEachBus(t *testing.T) {
	t.Parallel()
	_, got := q35(t)
	for i := range got {
		if len(got[i].Contents) != 1 && got[i].Rejected == "" || got[i].Size == 0 || got[i].SectorSize != 512 && got[i].Name != "sr0" {
			t.Errorf("%s: contents %q, size %d, sectors of %d", got[i].Name, got[i].Contents, got[i].Size, got[i].SectorSize)
		}
		got[i].Contents, got[i].Size, got[i].SectorSize = nil, 0, 0
	}
	qemu := "QEMU HARDDISK"
	want := []api.Disk{
		{Name: "sr0", ByPath: "pci-0000:00:1f.2-ata-3", Model: "QEMU DVD-ROM", Transport: "sata", Rotational: true,
			Removable: true, Rejected: "a CD or DVD drive"},
		{Name: "sda", ByPath: "pci-0000:00:07.0-scsi-0:0:0:0", Model: qemu, Serial: "SCSI0001", WWN: "0x5000c500a1b2c3d4",
			Transport: "virtio", Rotational: true},
		{Name: "sdb", ByPath: "pci-0000:00:07.0-scsi-0:0:3:1", Model: qemu, Transport: "virtio", Rotational: true},
		{Name: "sdc", ByPath: "pci-0000:00:08.0-scsi-0:0:0:0", Model: "AMI Virtual HDisk", Transport: "virtio",
			Rotational: true, Rejected: "virtual media of the BMC"},
		{Name: "sdd", ByPath: "pci-0000:00:1f.2-ata-2", Model: qemu, Serial: "SATA0001", WWN: "0x50014ee2b1a2c3d4",
			Transport: "sata", Rotational: true},
		{Name: "sde", ByPath: "pci-0000:00:0d.0-sas-phy0-lun-0", Model: qemu, Serial: "SAS00001",
			WWN: "0x5000c50011223344", Transport: "sas", Rotational: true},
		{Name: "sdf", ByPath: "pci-0000:00:0d.0-sas-phy2-lun-0", Model: qemu, Serial: "SAS00002",
			WWN: "0x5000c50011223355", Transport: "sas", Rotational: true},
		{Name: "sdg", ByPath: "pci-0000:00:0e.0-scsi-0:2:0:0", Model: qemu, Serial: "RAID0001", Transport: "sas",
			Rotational: true},
		{Name: "sdh", ByPath: "pci-0000:00:0c.0-usb-0:1:1.0-scsi-0:0:0:0", Model: qemu, Transport: "usb",
			Rotational: true, Removable: true, Rejected: "attached by usb"},
		{Name: "sdi", ByPath: "pci-0000:00:10.0-scsi-0:0:0:0", Model: qemu, Transport: "scsi", Rotational: true,
			Rejected: "attached by scsi"},
		{Name: "vda", ByPath: "pci-0000:00:05.0", Serial: "VBLK0001", Transport: "virtio", Rotational: true},
		{Name: "vdb", ByPath: "pci-0000:00:06.0", Transport: "virtio", Rotational: true},
		{Name: "nvme0n1", ByPath: "pci-0000:00:09.0-nvme-1", Model: "QEMU NVMe Ctrl", Serial: "NVME0001", Transport: "nvme",
			WWN: "nvme.1b36-4e564d4530303031-51454d55204e564d65204374726c-00000001"},
		{Name: "nvme2n1", ByPath: "pci-0000:00:0a.0-nvme-1", Model: "QEMU NVMe Ctrl", Serial: "NVME0002", Transport: "nvme",
			WWN: "nvme.1b36-4e564d4530303032-51454d55204e564d65204374726c-00000001"},
		{Name: "mmcblk0", ByPath: "pci-0000:00:0f.0", Model: "QEMU!", Serial: "0xdeadbeef", Transport: "mmc",
			Rejected: "attached by mmc"},
	}
	for i := range want {
		want[i].Path = "/dev/" + want[i].Name
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestByPathAgreesWithUdev compares with what udev itself says of the same machine.
func TestByPathAgreesWithUdev(t *testing.T) {
	t.Parallel()
	tr, disks := q35(t)
	if len(tr.udev) < 15 {
		t.Fatalf("the capture has %d names of udev", len(tr.udev))
	}
	for _, d := range disks {
		want, ok := tr.udev[d.Name]
		if !ok || d.Name == "nvme2n1" { // has two paths: udev names the last, we the first
			continue
		}
		if plainPath(d.ByPath) != plainPath(want) {
			t.Errorf("%s: %q, udev says %q", d.Name, d.ByPath, want)
		}
		if !Matches(d, "/dev/disk/by-path/"+want) {
			t.Errorf("%s is not found by udev's name %s", d.Name, want)
		}
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	const vda = "/sys/devices/pci0000:00/0000:00:05.0/virtio1/block/vda"
	for _, tt := range []struct{ name, add, disk, want string }{
		{"mounted partition", `F /proc/self/mountinfo "36 1 254:1 / /boot rw,noatime shared:1 - vfat /dev/vda1 rw\n"` +
			"\nF " + vda + `/vda1/dev "254:1\n"`, "vda", "in use: vda1 is mounted at /boot"},
		{"mounted btrfs", `F /proc/self/mountinfo "36 1 0:31 / /oem rw - btrfs /dev/vda6 rw\n"`, "vda",
			"in use: vda6 is mounted at /oem"},
		{"swap", `F /proc/swaps "Filename\tType\n/dev/vda partition 8 0 -2\n"`, "vda", "in use: vda is in use for swap"},
		{"holder", "D " + vda + "/holders/md0", "vda", ""},
		{"holder of a partition", "D " + vda + "/vda9/holders/dm-0", "vda", ""},
		{"another holder", "D " + vda + "/vda9/holders/bcache0", "vda", "in use: vda9 is part of bcache0, which is at work"},
		{"holder that is mounted", "D " + vda + "/vda9/holders/md0\nF /sys/block/md0/dev \"9:0\\n\"\n" +
			`F /proc/self/mountinfo "36 1 9:0 / /data rw - ext4 /dev/md0 rw\n"`, "vda",
			"in use: vda9 is part of md0, which is mounted at /data"},
		{"stack that is swapped to", "D " + vda + "/holders/md0\nD /sys/block/md0/holders/dm-1\nF /sys/block/dm-1/dev \"253:1\\n\"\n" +
			`F /proc/swaps "Filename\tType\n/dev/dm-1 partition 8 0 -2\n"`, "vda",
			"in use: vda is part of md0, which is part of dm-1, which is in use for swap"},
		{"removable", "F " + vda + `/removable "1\n"`, "vda", "removable"},
		{"read-only", "F " + vda + `/ro "1\n"`, "vda", "read-only"},
		{"no size", "F " + vda + `/size "0\n"`, "vda", "it has no size"},
		{"free", "", "vda", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tr := newTree(t, "q35.sysfs")
			tr.add(tt.add)
			disks, err := tr.reader().Disks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := find(t, disks, tt.disk).Rejected; got != tt.want {
				t.Errorf("rejected %q, want %q", got, tt.want)
			}
		})
	}
}

// disk is the least that sysfs has of a disk at a path below /sys/devices.
func disk(path, name string) string {
	dir := "/sys/devices/" + path + "/block/" + name
	up := strings.Repeat("../", strings.Count(path, "/")+1)
	return "L /sys/block/" + name + " ../devices/" + path + "/block/" + name + "\n" +
		"F " + dir + "/size \"2048\\n\"\nL " + dir + "/device ../../../" + path[strings.LastIndex(path, "/")+1:] + "\n" +
		"L /sys/devices/" + path + "/subsystem " + up + "../bus/scsi\n"
}

func TestTransport(t *testing.T) {
	t.Parallel()
	const pci = "pci0000:00/0000:00:02.0"
	for _, tt := range []struct{ name, add, disk, transport, byPath, rejected string }{
		{"iSCSI", disk("platform/host2/session1/target2:0:0/2:0:0:1", "sda"), "sda", "iscsi", "", "attached by iscsi"},
		{"Fibre Channel", disk(pci+"/host1/rport-1:0-0/target1:0:0/1:0:0:0", "sda"), "sda", "fc", "", "attached by fc"},
		{"SAS behind an expander", disk(pci+"/host6/port-6:0/expander-6:0/port-6:0:3/end_device-6:0:3/target6:0:3/6:0:3:0", "sda") +
			`F /sys/devices/` + pci + `/host6/port-6:0/expander-6:0/sas_device/expander-6:0/sas_address "0x5003048000abcdff\n"
			F /sys/devices/` + pci + `/host6/port-6:0/expander-6:0/port-6:0:3/sas_port/port-6:0:3/num_phys "1\n"
			F /sys/devices/` + pci + `/host6/port-6:0/expander-6:0/port-6:0:3/end_device-6:0:3/sas_device/end_device-6:0:3/phy_identifier "3\n"
			L /sys/devices/` + pci + `/subsystem ../../../bus/pci`,
			"sda", "sas", "pci-0000:00:02.0-sas-exp0x5003048000abcdff-phy3-lun-0", ""},
		{"SAS on a wide port", disk(pci+"/host6/port-6:0/end_device-6:0/target6:0:0/6:0:0:0", "sda") +
			`F /sys/devices/` + pci + `/host6/port-6:0/sas_port/port-6:0/num_phys "2\n"
			F /sys/devices/` + pci + `/host6/port-6:0/end_device-6:0/sas_device/end_device-6:0/sas_address "0x5000c50011223345\n"
			L /sys/devices/` + pci + `/subsystem ../../../bus/pci`,
			"sda", "sas", "pci-0000:00:02.0-sas-0x5000c50011223345-lun-0", ""},
		{"NVMe over TCP", "L /sys/block/nvme0n1 ../devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1\n" +
			"F /sys/devices/virtual/nvme-fabrics/ctl/nvme0/transport \"tcp\\n\"\n" +
			"F /sys/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1/size \"2048\\n\"",
			"nvme0n1", "nvme-tcp", "", "attached by nvme-tcp"},
		{"BMC media by USB", disk(pci+"/usb1/1-3/1-3.2/1-3.2:1.0/host9/target9:0:0/9:0:0:0", "sdx") +
			"F /sys/devices/" + pci + "/usb1/1-3/1-3.2/1-3.2:1.0/host9/target9:0:0/9:0:0:0/model \"LCDRIVE\\n\"\n" +
			"L /sys/devices/" + pci + "/usb1/1-3/1-3.2/1-3.2:1.0/subsystem ../../../../../../../bus/usb\n" +
			"L /sys/devices/" + pci + "/subsystem ../../../bus/pci",
			"sdx", "usb", "pci-0000:00:02.0-usb-0:3.2:1.0-scsi-0:0:0:0", "virtual media of the BMC"},
		{"tape or enclosure", disk(pci+"/ata1/host0/target0:0:0/0:0:0:0", "sda") +
			"F /sys/devices/" + pci + "/ata1/host0/target0:0:0/0:0:0:0/type \"14\\n\"",
			"sda", "sata", "", "not a disk, SCSI type 14"},
		{"RAID volume, software", disk("virtual", "md127"), "md127", "virtual", "", "a virtual device (md)"},
		{"device mapper", disk("virtual", "dm-0"), "dm-0", "virtual", "", "a virtual device (dm)"},
		{"loop", disk("virtual", "loop7"), "loop7", "virtual", "", "a virtual device (loop)"},
		{"zram", disk("virtual", "zram0"), "zram0", "virtual", "", "a virtual device (zram)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tr := newTree(t)
			tr.add(tt.add)
			disks, err := tr.reader().Disks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d := find(t, disks, tt.disk)
			got := []string{d.Transport, d.ByPath, d.Rejected}
			if diff := cmp.Diff([]string{tt.transport, tt.byPath, tt.rejected}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVirtualWithoutSizeIsLeftOut(t *testing.T) {
	t.Parallel()
	tr := newTree(t)
	tr.add(disk("virtual", "loop0") + `F /sys/devices/virtual/block/loop0/size "0\n"`)
	disks, err := tr.reader().Disks(t.Context())
	if err != nil || len(disks) != 0 {
		t.Errorf("%v, %v", disks, err)
	}
}

func TestDisksErrors(t *testing.T) {
	t.Parallel()
	r := Reader{Sys: t.TempDir()}
	if _, err := r.Disks(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "list disks: ") {
		t.Errorf("no sysfs: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTree(t, "q35.sysfs").reader().Disks(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
