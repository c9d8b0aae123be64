package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/racker-project/racker/pkg/rack"
)

// Sizes of memory and disks where the settings name none.
const (
	defaultMemory = 1024 // MiB
	mib           = 1 << 20
	gib           = 1 << 30
)

// mostNICs is how many a server may have besides those of its row.
const mostNICs = 2

// Size is a number of bytes, written as such or with the suffix M or G (powers of 1024).
type Size int64

// ParseSize reads a number of bytes, written as such or with the suffix M or G.
func ParseSize(text string) (Size, error) {
	number, unit := strings.TrimSpace(text), int64(1)
	switch {
	case strings.HasSuffix(number, "M"):
		number, unit = strings.TrimSuffix(number, "M"), mib
	case strings.HasSuffix(number, "G"):
		number, unit = strings.TrimSuffix(number, "G"), gib
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("size %q: want a number of bytes, or one with M or G", text)
	}
	return Size(n * unit), nil
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	n, err := ParseSize(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*s = n
	return nil
}

// defaultMachine is the hardware of the i-th server when nothing is said: the second of each three has UEFI, and the third
// has disks that are not empty, so that the default rack shows each kind.
func defaultMachine(i int) Machine {
	m := Machine{
		Firmware: FirmwareBIOS, Memory: defaultMemory, CPUs: 1, DiskBus: BusVirtio, Order: OrderNetwork,
		Disks: []Disk{{Size: 4 * gib}, {Size: 6 * gib}},
	}
	switch i % 3 {
	case 1:
		m.Firmware = FirmwareUEFI
	case 2:
		m.Disks[0].Fill, m.Disks[1].Fill = FillDirty, FillGPT
	}
	return m
}

// over gives base with everything that m sets.
func (m Machine) over(base Machine) Machine {
	base.Firmware = or(m.Firmware, base.Firmware)
	base.Memory = or(m.Memory, base.Memory)
	base.CPUs = or(m.CPUs, base.CPUs)
	base.DiskBus = or(m.DiskBus, base.DiskBus)
	base.Order = or(m.Order, base.Order)
	base.Serial = or(m.Serial, base.Serial)
	base.HTTPBoot = m.HTTPBoot || base.HTTPBoot
	base.NoInBand = m.NoInBand || base.NoInBand
	if !m.RTC.IsZero() {
		base.RTC = m.RTC
	}
	if m.Disks != nil {
		base.Disks = m.Disks
	}
	if m.NICs != nil {
		base.NICs = m.NICs
	}
	return base
}

// identified fills in the serial numbers of the machine in the row n.
func (m Machine) identified(n *rack.Node) Machine {
	tail := strings.ToUpper(strings.ReplaceAll(n.Primary.String(), ":", "")[6:])
	m.Serial = or(m.Serial, or(n.Serial, "SIM"+tail))
	disks := make([]Disk, len(m.Disks))
	for i, d := range m.Disks {
		d.Serial = or(d.Serial, fmt.Sprintf("SIM%s-%d", tail, i))
		d.Size = or(d.Size, 4*gib)
		disks[i] = d
	}
	m.Disks = disks
	return m
}

// validate names everything in m that cannot be built.
func (m Machine) validate() error {
	var errs []error
	choice := func(key, value string, of ...string) {
		for _, o := range of {
			if value == o {
				return
			}
		}
		errs = append(errs, fmt.Errorf("%s %q: want one of %s", key, value, strings.Join(of, ", ")))
	}
	choice("firmware", m.Firmware, FirmwareBIOS, FirmwareUEFI)
	choice("disk_bus", m.DiskBus, BusVirtio, BusNVMe, BusSATA)
	choice("boot_order", m.Order, OrderNetwork, OrderDisk)
	if m.Memory < 256 || m.Memory > 65536 {
		errs = append(errs, fmt.Errorf("memory %d: want 256 to 65536 MiB", m.Memory))
	}
	if m.CPUs < 1 || m.CPUs > 16 {
		errs = append(errs, fmt.Errorf("cpus %d: want 1 to 16", m.CPUs))
	}
	if len(m.Disks) > 4 {
		errs = append(errs, fmt.Errorf("%d disks: want 4 at most", len(m.Disks)))
	}
	if len(m.NICs) > mostNICs {
		errs = append(errs, fmt.Errorf("%d nics: want %d at most, besides the two of the row", len(m.NICs), mostNICs))
	}
	if m.HTTPBoot && m.Firmware != FirmwareUEFI {
		errs = append(errs, errors.New("http_boot: only UEFI firmware boots by HTTP"))
	}
	errs = append(errs, checkSerial(m.Serial))
	for _, d := range m.Disks {
		errs = append(errs, d.validate())
	}
	return errors.Join(errs...)
}

func (d Disk) validate() error {
	errs := []error{checkSerial(d.Serial)}
	if d.Size < mib || d.Size%512 != 0 {
		errs = append(errs, fmt.Errorf("disk size %d: want whole sectors of 512 bytes, at least 1M", d.Size))
	}
	if len(d.Serial) > 20 {
		errs = append(errs, fmt.Errorf("disk serial %q: want 20 bytes at most", d.Serial))
	}
	return errors.Join(errs...)
}

// checkSerial refuses what would end a value on QEMU's command line.
func checkSerial(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r == ',' || r <= ' ' || r > '~' }) {
		return fmt.Errorf("serial %q: want printable ASCII without blanks and commas", s)
	}
	return nil
}

// or gives v, or fallback when v is the zero value.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
