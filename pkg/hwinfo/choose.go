package hwinfo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// ErrNoDisk is matched by every error of ChooseDisk. The error names each disk and why it was not taken.
var ErrNoDisk = errors.New("no disk to install on")

// ChooseDisk picks the install disk by the rule. A remembered disk comes first: when it is not there, cannot be used or
// is too small, that is an error, for another disk may hold something else. Then the disk that the rule names, which
// must be exactly one. Then the smallest of at least MinSize bytes; among equals the first by path in natural order.
// Only disks without a Rejected reason are taken.
func ChooseDisk(disks []api.Disk, rule api.DiskRule) (api.Disk, error) {
	switch {
	case rule.Remembered != "":
		return named(disks, rule.Remembered, "the disk that was used before", rule.MinSize)
	case rule.Name != "":
		return named(disks, rule.Name, "the disk that the row names", rule.MinSize)
	}
	var best *api.Disk
	for i := range disks {
		d := &disks[i]
		if d.Rejected != "" || d.Size < rule.MinSize {
			continue
		}
		if best == nil || d.Size < best.Size || d.Size == best.Size && natural(d.Path, best.Path) < 0 {
			best = d
		}
	}
	if best == nil {
		return api.Disk{}, fmt.Errorf("%w of at least %s: %s", ErrNoDisk, bytesText(rule.MinSize), reasons(disks, rule.MinSize))
	}
	return *best, nil
}

// named finds the one disk that name stands for.
func named(disks []api.Disk, name, what string, minSize int64) (api.Disk, error) {
	var found []api.Disk
	for _, d := range disks {
		if Matches(d, name) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return api.Disk{}, fmt.Errorf("%w: %s, %s, is not there: %s", ErrNoDisk, what, name, reasons(disks, minSize))
	case len(found) > 1:
		return api.Disk{}, fmt.Errorf("%w: %s, %s, could be each of: %s", ErrNoDisk, what, name, list(found))
	case found[0].Rejected != "":
		return api.Disk{}, fmt.Errorf("%w: %s, %s, cannot be used: %s", ErrNoDisk, what, name, reasons(found, minSize))
	case found[0].Size < minSize:
		return api.Disk{}, fmt.Errorf("%w: %s, %s, is too small: %s", ErrNoDisk, what, name, reasons(found, minSize))
	}
	return found[0], nil
}

// Matches reports whether name is the disk's WWN, serial or by-path name. Case does not matter; WWNs may begin with
// wwn-, nvme-, naa., eui. or 0x, by-path names with /dev/disk/by-path/.
func Matches(d api.Disk, name string) bool {
	name = strings.TrimSpace(name)
	if name == "" {
		return false
	}
	if d.Serial != "" && strings.EqualFold(name, d.Serial) {
		return true
	}
	if d.WWN != "" && plainWWN(name) == plainWWN(d.WWN) {
		return true
	}
	return d.ByPath != "" && plainPath(name) == plainPath(d.ByPath)
}

func plainWWN(s string) string {
	s = strings.ToLower(s)
	s = strings.TrimPrefix(s, "/dev/disk/by-id/")
	for _, prefix := range []string{"wwn-", "nvme-", "0x", "naa.", "eui."} {
		s = strings.TrimPrefix(s, prefix)
	}
	return s
}

// plainPath takes away what versions of udev differ in: virtio- before a virtio disk, .0 after an ATA port.
func plainPath(s string) string {
	s = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "/dev/disk/by-path/"), "virtio-")
	if at := strings.LastIndex(s, "-ata-"); at >= 0 {
		s = strings.TrimSuffix(s, ".0")
	}
	return s
}

// OtherSystems names the operating systems on all disks but the chosen one: "sdb (WDC WD10, 1.0 TB): Flatcar".
func OtherSystems(disks []api.Disk, chosen api.Disk) []string {
	var out []string
	for _, d := range disks {
		if d.Path == chosen.Path {
			continue
		}
		for _, c := range d.Contents {
			if system, ok := strings.CutPrefix(c, osPrefix); ok {
				out = append(out, describe(d)+": "+system)
			}
		}
	}
	return out
}

// reasons says of each disk why it was not taken.
func reasons(disks []api.Disk, minSize int64) string {
	var out []string
	for _, d := range disks {
		why := d.Rejected
		if why == "" && d.Size < minSize {
			why = "smaller than " + bytesText(minSize)
		}
		if why == "" {
			why = "not the one"
		}
		out = append(out, describe(d)+": "+why)
	}
	if len(out) == 0 {
		return "the machine shows no disk at all"
	}
	return strings.Join(out, "; ")
}

func list(disks []api.Disk) string {
	out := make([]string, len(disks))
	for i, d := range disks {
		out[i] = describe(d)
	}
	return strings.Join(out, ", ")
}

// describe names a disk for a person who looks for it.
func describe(d api.Disk) string {
	facts := []string{d.Model, bytesText(d.Size)}
	if d.Serial != "" {
		facts = append(facts, "serial "+d.Serial)
	}
	facts = slices.DeleteFunc(facts, func(s string) bool { return s == "" })
	return d.Name + " (" + strings.Join(facts, ", ") + ")"
}

// bytesText prints a size as disks are sold: in powers of ten.
func bytesText(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	f, i := float64(n), 0
	for f >= 999.95 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
