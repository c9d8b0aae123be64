package hwinfo

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// ErrNoDisk is matched by every error of ChooseDisk. The error names each disk and why it was not taken.
var ErrNoDisk = errors.New("no disk to install on")

// ChooseDisk picks the install disk by the rule, and says how many disks the rule cannot tell apart: 1 when it names exactly
// this one. Only disks without a Rejected reason are taken, and only those with the sectors that the image is made for.
//
// A remembered disk comes first. While nothing else is asked for it must be there, usable and large enough: another disk
// may hold something else. Then the disk that nodes.csv names, which must be one. Then what the rule asks for; a WWN, serial
// or place must fit one disk alone, and of several others the smallest is taken, among equals the first by path in natural
// order.
func ChooseDisk(disks []api.Disk, rule api.DiskRule) (disk api.Disk, matched int, err error) {
	switch {
	case rule.Remembered != "" && !asks(rule):
		disk, err = named(disks, rule.Remembered, "the disk that was used before", rule)
		return disk, 1, err
	case rule.Name != "":
		disk, err = named(disks, rule.Name, "the disk that the row names", rule)
		return disk, 1, err
	}
	var fit []api.Disk
	for _, d := range disks {
		if unfit(d, rule) == "" {
			fit = append(fit, d)
		}
	}
	if i := slices.IndexFunc(fit, func(d api.Disk) bool { return Matches(d, rule.Remembered) }); i >= 0 {
		return fit[i], 1, nil
	}
	slices.SortFunc(fit, func(a, b api.Disk) int { return cmp.Or(cmp.Compare(a.Size, b.Size), natural(a.Path, b.Path)) })
	switch {
	case len(fit) == 0:
		return api.Disk{}, 0, fmt.Errorf("%w of at least %s%s: %s", ErrNoDisk, bytesText(rule.MinSize), wanted(rule), reasons(disks, rule))
	case len(fit) > 1 && rule.WWN+rule.Serial+rule.ByPath != "":
		return api.Disk{}, len(fit), fmt.Errorf("%w: the rule%s fits each of: %s", ErrNoDisk, wanted(rule), list(fit))
	}
	for matched < len(fit) && fit[matched].Size == fit[0].Size {
		matched++
	}
	return fit[0], matched, nil
}

// asks reports whether the operator asked for more than what the image needs.
func asks(r api.DiskRule) bool {
	return r.Model+r.Serial+r.WWN+r.ByPath != "" || r.MaxSize != 0 || r.Rotational != nil
}

// wanted is what the rule asks for, for a sentence; empty when that is nothing.
func wanted(r api.DiskRule) string {
	var out []string
	for _, w := range []struct{ what, value string }{{"model", r.Model}, {"serial", r.Serial}, {"WWN", r.WWN}, {"by-path", r.ByPath}} {
		if w.value != "" {
			out = append(out, w.what+" "+w.value)
		}
	}
	if r.MaxSize != 0 {
		out = append(out, "at most "+bytesText(r.MaxSize))
	}
	if r.Rotational != nil {
		out = append(out, spins(*r.Rotational))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

func spins(rotational bool) string {
	if rotational {
		return "rotational"
	}
	return "not rotational"
}

// unfit says why the rule does not take a disk; empty when it does.
func unfit(d api.Disk, r api.DiskRule) string {
	has, need := cmp.Or(d.SectorSize, blockSector), cmp.Or(r.SectorSize, blockSector)
	switch {
	case d.Rejected != "":
		return d.Rejected
	case d.Size < r.MinSize:
		return "smaller than " + bytesText(r.MinSize)
	case r.MaxSize != 0 && d.Size > r.MaxSize:
		return "larger than " + bytesText(r.MaxSize)
	case has != need:
		return fmt.Sprintf("its sectors have %d bytes, and the image is made for sectors of %d", has, need)
	case r.Rotational != nil && d.Rotational != *r.Rotational:
		return spins(d.Rotational)
	}
	return another(d, r)
}

// another says in what a disk is not the one that the rule describes; empty when it is.
func another(d api.Disk, r api.DiskRule) string {
	switch {
	case !fitsModel(d.Model, r.Model):
		return "another model"
	case r.Serial != "" && !strings.EqualFold(strings.TrimSpace(r.Serial), d.Serial):
		return "another serial"
	case r.WWN != "" && (d.WWN == "" || plainWWN(r.WWN) != plainWWN(d.WWN)):
		return "another WWN"
	case r.ByPath != "" && (d.ByPath == "" || plainPath(r.ByPath) != plainPath(d.ByPath)):
		return "at another place"
	}
	return ""
}

// fitsModel compares a model with a pattern in which * stands for any characters; an empty pattern fits all.
func fitsModel(model, pattern string) bool {
	if pattern == "" {
		return true
	}
	expr := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(pattern)), `\*`, ".*")
	ok, err := regexp.MatchString("(?is)^"+expr+"$", model)
	return err == nil && ok
}

// named finds the one disk that name stands for.
func named(disks []api.Disk, name, what string, rule api.DiskRule) (api.Disk, error) {
	var found []api.Disk
	for _, d := range disks {
		if Matches(d, name) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return api.Disk{}, fmt.Errorf("%w: %s, %s, is not there: %s", ErrNoDisk, what, name, reasons(disks, rule))
	case len(found) > 1:
		return api.Disk{}, fmt.Errorf("%w: %s, %s, could be each of: %s", ErrNoDisk, what, name, list(found))
	}
	rule.Model, rule.Serial, rule.WWN, rule.ByPath, rule.Rotational, rule.MaxSize = "", "", "", "", nil, 0
	if unfit(found[0], rule) == "" {
		return found[0], nil
	}
	why := "cannot be used"
	if found[0].Rejected == "" && found[0].Size < rule.MinSize {
		why = "is too small"
	}
	return api.Disk{}, fmt.Errorf("%w: %s, %s, %s: %s", ErrNoDisk, what, name, why, reasons(found, rule))
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

// reasons says of each disk why it was not taken.
func reasons(disks []api.Disk, rule api.DiskRule) string {
	var out []string
	for _, d := range disks {
		out = append(out, describe(d)+": "+cmp.Or(unfit(d, rule), "not the one"))
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
