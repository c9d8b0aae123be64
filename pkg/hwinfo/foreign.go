package hwinfo

import (
	"slices"
	"strconv"
	"strings"
)

// foreignDisk begins the line of Disk.Foreign that is about a disk as a whole: a partition table of racker's own making is
// no excuse for it.
const foreignDisk = "whole disk: "

// foreign names what is on a disk and was not put there by an OS image that is laid out as Flatcar:
//
//   - what takes the disk as a whole: a file system, LUKS, a RAID member, an LVM volume, ZFS, Ceph, ...;
//   - partitions with any of these, or with data that is not known, outside that layout;
//   - within it, members of something that spans disks.
//
// EFI system partitions and boot code are no data of anybody's. A disk without a table and without a known signature is
// empty, whatever its bytes are.
func foreign(t table, whole signature) []string {
	var out []string
	if whole.kind != "" {
		out = append(out, foreignDisk+whole.text(""))
	}
	layout := flatcarLayout(t)
	for i := range t.parts[:min(len(t.parts), maxListed)] {
		p := &t.parts[i]
		switch {
		case layout && ofFlatcar(p.name) && !p.found.spans():
			continue
		case p.found.kind == "" && (p.found.blank || p.kind == typeBIOSBoot || p.kind == typeMSReserved):
			continue
		case (p.kind == typeESP || p.kind == mbrTypeESP) && p.found.kind == "vfat":
			continue
		}
		text := p.found.text(p.name)
		if p.found.kind == "" {
			text = strings.TrimSpace("unknown data " + p.name)
		}
		out = append(out, "partition "+strconv.Itoa(p.number)+": "+text)
	}
	return out
}

// ofFlatcar reports whether a partition of this name is one of Flatcar's own.
func ofFlatcar(name string) bool {
	return slices.Contains([]string{"EFI-SYSTEM", "BIOS-BOOT", "USR-A", "USR-B", "ROOT-C", "OEM", "OEM-CONFIG", "ROOT"}, name)
}
