package hwinfo

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
)

// Pages of vital product data; SPC-5, 7.7. The kernel keeps both in sysfs.
const (
	vpdSerial = "vpd_pg80"
	vpdID     = "vpd_pg83"
)

func (b block) model() string {
	m := attr(b.dir, "device", "model")
	vendor := attr(b.dir, "device", "vendor")
	// libata says ATA for all, virtio has a number there, and some models begin with their vendor.
	if vendor != "ATA" && !strings.HasPrefix(vendor, "0x") && !strings.HasPrefix(m, vendor) {
		m = strings.TrimSpace(vendor + " " + m)
	}
	if m == "" {
		m = attr(b.dir, "device", "name") // of a memory card
	}
	return m
}

func (b block) vendorModel() string {
	return attr(b.dir, "device", "vendor") + " " + attr(b.dir, "device", "model")
}

// serial gives what the device says: virtio-blk has it at the disk, NVMe and cards at the device, SCSI and ATA in VPD
// page 80h, for which libata answers with the serial of the ATA disk.
func (b block) serial() string {
	for _, dir := range []string{b.dir, filepath.Join(b.dir, "device")} {
		if s := attr(dir, "serial"); s != "" {
			return s
		}
	}
	page, err := os.ReadFile(filepath.Join(b.dir, "device", vpdSerial))
	if err != nil {
		return ""
	}
	return pageSerial(page)
}

func pageSerial(page []byte) string {
	if len(page) < 4 || page[1] != 0x80 {
		return ""
	}
	n := min(int(binary.BigEndian.Uint16(page[2:])), len(page)-4)
	return clean(string(page[4 : 4+n]))
}

// wwn gives the World Wide Name as lsblk prints it: 0x5000c500a1b2c3d4, eui.0025385b71b0a3c1. An NVMe disk without one
// has the kernel's own unique name instead. Identifiers of vendors (t10) are no WWN.
func (b block) wwn() string {
	id := attr(b.dir, "wwid")
	if id == "" {
		id = attr(b.dir, "device", "wwid")
	}
	if name, ok := strings.CutPrefix(id, "naa."); ok {
		return "0x" + strings.ToLower(name)
	}
	for _, prefix := range []string{"eui.", "uuid.", "nvme."} {
		if strings.HasPrefix(id, prefix) {
			return strings.ToLower(id)
		}
	}
	page, err := os.ReadFile(filepath.Join(b.dir, "device", vpdID))
	if err != nil {
		return ""
	}
	return pageWWN(page)
}

// pageWWN looks for a NAA, else an EUI-64, designator of the logical unit in VPD page 83h; SPC-5, 7.7.6.
func pageWWN(page []byte) string {
	if len(page) < 4 || page[1] != 0x83 {
		return ""
	}
	end := min(4+int(binary.BigEndian.Uint16(page[2:])), len(page))
	eui := ""
	for at := 4; at+4 <= end; {
		kind, association, n := page[at+1]&0x0f, page[at+1]>>4&3, int(page[at+3])
		if at+4+n > end {
			break
		}
		id := hex.EncodeToString(page[at+4 : at+4+n])
		at += 4 + n
		switch {
		case association != 0 || n < 8 || strings.Trim(id, "0") == "":
		case kind == 3:
			return "0x" + id
		case kind == 2 && eui == "":
			eui = "eui." + id
		}
	}
	return eui
}
