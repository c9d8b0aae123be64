package hwinfo

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// byPath gives the name below /dev/disk/by-path that udev would make, "" for transports that are never installed on.
// It goes from the disk up to the root of the device tree and puts the name of each bus in front.
func (b block) byPath() string {
	var parts []string // innermost first
	dir := filepath.Dir(b.dir)
	if strings.HasPrefix(b.name, "nvme") {
		controllers := b.nvmeControllers()
		if len(controllers) == 0 {
			return ""
		}
		dir = controllers[0]
		if nsid := attr(b.dir, "nsid"); nsid != "" {
			parts = append(parts, "nvme-"+nsid)
		}
	}
	root := filepath.Join(b.sysRoot(), "devices")
	for skip := ""; len(dir) > len(root); dir = filepath.Dir(dir) {
		bus := link(dir, "subsystem")
		if bus == skip && bus != "" {
			continue // udev names only the innermost device of a bus
		}
		skip = ""
		name := filepath.Base(dir)
		switch {
		case bus == "scsi" && isSCSIAddress(name):
			part := b.scsiPath(dir, name)
			if part == "" {
				return ""
			}
			parts, skip = append(parts, part), bus
		case bus == "usb" && strings.Contains(name, "-"):
			_, port, _ := strings.Cut(name, "-")
			parts, skip = append(parts, "usb-0:"+port), bus
		case bus == "pci" || bus == "platform":
			parts, skip = append(parts, bus+"-"+name), bus
		}
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, "-")
}

// isSCSIAddress knows HOST:CHANNEL:TARGET:LUN.
func isSCSIAddress(name string) bool { return strings.Count(name, ":") == 3 && isDigit(name[0]) }

// scsiPath is the part of the name for one SCSI disk at dir.
func (b block) scsiPath(dir, address string) string {
	n := strings.Split(address, ":")
	switch {
	case strings.Contains(dir, "/rport-"), strings.Contains(dir, "/session"):
		return ""
	case strings.Contains(dir, "/end_device-"):
		return sasPath(dir, n[3])
	case strings.Contains(dir, "/ata"):
		port := filepath.Base(filepath.Dir(b.scsiHost()))
		if no := attr(filepath.Dir(b.scsiHost()), "ata_port", port, "port_no"); no != "" {
			return "ata-" + no
		}
		return ""
	}
	host, err := strconv.Atoi(n[0])
	if err != nil {
		return ""
	}
	// Host numbers depend on the order in which drivers loaded: count from the first host of the same device.
	return fmt.Sprintf("scsi-%d:%s:%s:%s", host-firstHost(filepath.Dir(b.scsiHost()), host), n[1], n[2], n[3])
}

func firstHost(parent string, host int) int {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return host
	}
	first := host
	for _, e := range entries {
		if text, ok := strings.CutPrefix(e.Name(), "host"); ok {
			if n, err := strconv.Atoi(text); err == nil {
				first = min(first, n)
			}
		}
	}
	return first
}

// sasPath names a disk by the phy that it is plugged into, behind an expander also by the expander's address; a disk on
// a wide port by its own address.
func sasPath(dir, lun string) string {
	for !strings.HasPrefix(filepath.Base(dir), "end_device-") {
		dir = filepath.Dir(dir)
	}
	end, port := filepath.Base(dir), filepath.Dir(dir)
	device := filepath.Join(dir, "sas_device", end)
	expander := filepath.Base(filepath.Dir(port))
	phys := attr(port, "sas_port", filepath.Base(port), "num_phys")
	lun = "lun-" + lun
	if phys != "1" {
		return "sas-" + attr(device, "sas_address") + "-" + lun
	}
	place := "phy" + attr(device, "phy_identifier") + "-" + lun
	if strings.HasPrefix(expander, "expander-") {
		return "sas-exp" + attr(filepath.Dir(port), "sas_device", expander, "sas_address") + "-" + place
	}
	return "sas-" + place
}
