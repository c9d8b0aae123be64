package hwinfo

import "strings"

// GUIDs as their bytes lie on the disk.
const (
	typeESP        = "28732ac11ff8d211ba4b00a0c93ec93b" // c12a7328-...: UEFI 2.10, table 5.7
	typeMSReserved = "16e3c9e35c0bb84d817df92df00215ae" // e3c9e316-...
	guidUSRA       = "4ac930713a215a4e8e266cce9662f132" // 7130c94a-...: Flatcar's partition USR-A
	guidUSRB       = "5cd33de02d7c474ab3fe27f15780a57c" // e03dd35c-...: Flatcar's partition USR-B
	mbrTypeESP     = "ef"

	typeBIOSBoot = "4861682149646f6e744e656564454649" // 21686148-...: GRUB's own code
)

// flatcar is the name of the system whose disks racker knows best.
const flatcar = "Flatcar"

// traces are what partitions tell of the system that made them.
type traces struct {
	esp, windows, flatcar, active bool
	named                         map[string]bool // partition names and labels
	root                          string          // kind of the first thing that can hold a Linux system
}

func lookFor(parts []part) traces {
	tr := traces{named: map[string]bool{}}
	for _, p := range parts {
		tr.named[p.name], tr.named[p.found.label] = true, true
		switch p.kind {
		case typeESP, mbrTypeESP:
			tr.esp = true
		case typeMSReserved:
			tr.windows = true
		}
		switch p.guid {
		case guidUSRA, guidUSRB:
			tr.flatcar = true
		}
		tr.active = tr.active || p.active
		if tr.root == "" && holdsLinux(p.found.kind) {
			tr.root = p.found.kind
		}
	}
	return tr
}

// installedOS says which operating system seems to be on the disk, "" when nothing looks like one, and whether a machine
// could boot it.
func installedOS(t table) (system string, boots bool) {
	tr := lookFor(t.parts)
	laidOut := tr.named["EFI-SYSTEM"] && tr.named["OEM"] && tr.named["ROOT"]
	switch {
	case tr.flatcar, laidOut && tr.named["USR-A"]:
		return flatcar, true
	case laidOut:
		return "laid out like Flatcar", true
	case tr.windows:
		return "Windows", true
	case tr.esp && tr.root != "":
		return "has an EFI system partition and a root file system (" + tr.root + ")", true
	case tr.esp:
		return "has an EFI system partition", true
	case tr.root != "" && tr.active:
		return "has an active partition and a root file system (" + tr.root + ")", true
	case tr.root != "":
		return "may be on a partition with " + tr.root, false
	}
	return "", false
}

// flatcarLayout reports whether the partitions are those of Flatcar, or of an image that is laid out like it.
func flatcarLayout(t table) bool {
	tr := lookFor(t.parts)
	return tr.flatcar || tr.named["EFI-SYSTEM"] && tr.named["OEM"] && tr.named["ROOT"]
}

func holdsLinux(kind string) bool {
	switch kind {
	case "xfs", "btrfs", "squashfs", "crypto_LUKS", kindLVM, kindMD, kindZFS:
		return true
	}
	return strings.HasPrefix(kind, "ext")
}
