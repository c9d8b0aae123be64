package hwinfo

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// System is what a machine says of itself. Empty strings mean that it does not tell.
type System struct {
	Serial, UUID, Vendor, Product string // SMBIOS type 1 (DSP0134 7.2)
	Firmware                      string // "bios" or "uefi"
	CPUs                          int    // logical processors
	MemoryBytes                   int64  // as the kernel can use it
	NICs                          []api.NIC
}

// System reads identity, firmware, processors, memory and network interfaces.
func (r Reader) System(ctx context.Context) (System, error) {
	nics, err := r.NICs(ctx)
	if err != nil {
		return System{}, err
	}
	memory, err := r.memory()
	if err != nil {
		return System{}, fmt.Errorf("read the size of the memory: %w", err)
	}
	s := System{
		Serial:      r.dmi("product_serial"),
		UUID:        strings.ToLower(r.dmi("product_uuid")),
		Vendor:      r.dmi("sys_vendor"),
		Product:     r.dmi("product_name"),
		Firmware:    "bios",
		CPUs:        countList(attr(r.sys("devices/system/cpu/online"))),
		MemoryBytes: memory,
		NICs:        nics,
	}
	if _, err := os.Stat(r.sys("firmware/efi")); err == nil {
		s.Firmware = "uefi"
	}
	return s, nil
}

// dmi reads one string of SMBIOS, without what vendors leave in when they have nothing to say.
func (r Reader) dmi(name string) string {
	s := attr(r.sys("class/dmi/id", name))
	if isPlaceholder(s) {
		return ""
	}
	return s
}

func isPlaceholder(s string) bool {
	plain := strings.ToLower(strings.Trim(s, " .*-_"))
	if strings.Trim(plain, "0f-") == "" || strings.Trim(plain, "x") == "" { // also a UUID of all 0 or all F
		return true
	}
	return slices.Contains([]string{
		"none", "na", "n/a", "not applicable", "not available", "not specified", "not present", "not set", "unknown",
		"undefined", "unspecified", "invalid", "empty", "default", "default string", "oem", "o.e.m", "to be filled by o.e.m",
		"to be filled by oem", "fill by oem", "system serial number", "system product name", "system manufacturer",
		"system manufactor", "chassis serial number", "base board serial number", "serial number", "product name", "sernum",
		"123456789", "1234567890", "0123456789", "1234567", "03000200-0400-0500-0006-000700080009",
	}, plain)
}

// memory reads MemTotal of /proc/meminfo; proc(5).
func (r Reader) memory() (int64, error) {
	b, err := os.ReadFile(r.proc("meminfo"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no MemTotal", r.proc("meminfo"))
}

// countList counts the members of a list as the kernel prints it, "0-3,8"; 0 when it is not one.
func countList(s string) int {
	n := 0
	for item := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || b < a {
			return 0
		}
		n += b - a + 1
	}
	return n
}

// Hardware gives the inventory: System and Disks together.
func (r Reader) Hardware(ctx context.Context) (api.Hardware, error) {
	s, err := r.System(ctx)
	if err != nil {
		return api.Hardware{}, err
	}
	disks, err := r.Disks(ctx)
	return api.Hardware{CPUs: s.CPUs, MemoryBytes: s.MemoryBytes, NICs: s.NICs, Disks: disks}, err
}
