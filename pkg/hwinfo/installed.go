package hwinfo

import "strings"

// GUIDs as their bytes lie on the disk.
const (
	typeESP        = "28732ac11ff8d211ba4b00a0c93ec93b" // c12a7328-...: UEFI 2.10, table 5.7
	typeMSReserved = "16e3c9e35c0bb84d817df92df00215ae" // e3c9e316-...
	guidUSRA       = "4ac930713a215a4e8e266cce9662f132" // 7130c94a-...: Flatcar's partition USR-A
	guidUSRB       = "5cd33de02d7c474ab3fe27f15780a57c" // e03dd35c-...: Flatcar's partition USR-B
	mbrTypeESP     = "ef"
)

// installedOS says which operating system seems to be on the disk; "" when nothing looks like one.
func installedOS(t table) string {
	var esp, windows, flatcarUSR, active bool
	var root string // kind of the first thing that can hold a Linux system
	named := map[string]bool{}
	for _, p := range t.parts {
		named[p.name], named[p.found.label] = true, true
		esp = esp || p.kind == typeESP || p.kind == mbrTypeESP
		windows = windows || p.kind == typeMSReserved
		flatcarUSR = flatcarUSR || p.guid == guidUSRA || p.guid == guidUSRB
		active = active || p.active
		if root == "" && holdsLinux(p.found.kind) {
			root = p.found.kind
		}
	}
	flatcarNames := named["EFI-SYSTEM"] && named["OEM"] && named["ROOT"]
	switch {
	case flatcarUSR, flatcarNames && named["USR-A"]:
		return "Flatcar"
	case flatcarNames:
		return "laid out like Flatcar"
	case windows:
		return "Windows"
	case esp && root != "":
		return "has an EFI system partition and a root file system (" + root + ")"
	case esp:
		return "has an EFI system partition"
	case root != "" && active:
		return "has an active partition and a root file system (" + root + ")"
	case root != "":
		return "may be on a partition with " + root
	}
	return ""
}

func holdsLinux(kind string) bool {
	switch kind {
	case "xfs", "btrfs", "squashfs", "crypto_LUKS", "LVM2 physical volume", "mdraid member":
		return true
	}
	return strings.HasPrefix(kind, "ext")
}
