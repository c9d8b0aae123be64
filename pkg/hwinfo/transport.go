package hwinfo

import (
	"path/filepath"
	"slices"
	"strings"
)

const transportVirtual = "virtual"

// transport names how the disk is attached, from the chain of devices above it.
func (b block) transport() string {
	path := strings.TrimPrefix(b.dir, b.sysRoot())
	has := func(s string) bool { return strings.Contains(path, s) }
	switch {
	case strings.HasPrefix(b.name, "nvme"):
		return b.nvmeTransport()
	case has("/devices/virtual/"):
		return transportVirtual
	case has("/usb"):
		return "usb"
	case has("/mmc_host/"), strings.HasPrefix(b.name, "mmcblk"):
		return "mmc"
	case has("/session"):
		return "iscsi"
	case has("/rport-"):
		return "fc"
	case has("/ata"):
		return "sata"
	case has("/end_device-"):
		return "sas"
	case has("/virtio"):
		return "virtio"
	case has("/host"):
		return b.scsiTransport()
	case has("/vbd-"):
		return "xen"
	case has("/fd"), strings.HasPrefix(b.name, "fd"):
		return "floppy"
	}
	return "unknown"
}

// sysRoot is Reader.Sys with its links resolved, as dir is.
func (b block) sysRoot() string {
	root, err := filepath.EvalSymlinks(b.sys())
	if err != nil {
		return b.sys()
	}
	return root
}

// nvmeTransport tells a local controller from one on a network.
func (b block) nvmeTransport() string {
	for _, dir := range b.nvmeControllers() {
		if t := attr(dir, "transport"); t != "" && t != "pcie" {
			return "nvme-" + t
		}
	}
	return "nvme"
}

// nvmeControllers gives the directories of the controllers of an NVMe disk: its parent, or, for one that the kernel
// shows as multipath, those of its subsystem.
func (b block) nvmeControllers() []string {
	parent := filepath.Dir(b.dir)
	if attr(parent, "transport") != "" || !strings.HasPrefix(filepath.Base(parent), "nvme-subsys") {
		return []string{parent}
	}
	found, _ := filepath.Glob(filepath.Join(parent, "nvme*", "transport")) // the pattern is well formed
	var dirs []string
	for _, f := range found {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(f)); err == nil {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// scsiTransport decides on disks of SCSI hosts that have no transport class: volumes of RAID controllers on a SAS chip
// count as sas, anything else as scsi, which is never taken.
func (b block) scsiTransport() string {
	host := b.scsiHost()
	driver := attr(host, "scsi_host", filepath.Base(host), "proc_name")
	if slices.Contains([]string{
		"megaraid_sas", "mpt2sas", "mpt3sas", "mpi3mr", "mptsas", "hpsa", "smartpqi", "aacraid", "arcmsr", "pm80xx",
		"mvsas", "isci", "3w-sas", "hisi_sas_v2_hw", "hisi_sas_v3_hw",
	}, driver) {
		return "sas"
	}
	return "scsi"
}

// scsiHost is the directory of the hostN above the disk, "" when there is none.
func (b block) scsiHost() string {
	for dir := b.dir; len(dir) > 1; dir = filepath.Dir(dir) {
		if n, ok := strings.CutPrefix(filepath.Base(dir), "host"); ok && n != "" && isDigit(n[0]) {
			return dir
		}
	}
	return ""
}

// virtualKind says what a device without hardware is.
func (b block) virtualKind() string {
	for _, kind := range []string{"loop", "ram", "zram", "md", "dm", "nbd", "rbd", "drbd", "bcache"} {
		if rest, ok := strings.CutPrefix(b.name, kind); ok && strings.TrimLeft(rest, "-_") != "" &&
			isDigit(strings.TrimLeft(rest, "-_")[0]) {
			return "a virtual device (" + kind + ")"
		}
	}
	return "a virtual device"
}
