package hwinfo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

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
