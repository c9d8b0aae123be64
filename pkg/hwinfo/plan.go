package hwinfo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// ErrErase is matched when a disk may not be erased as the order stands. The error names the disk, what is on it, and what
// allows it.
var ErrErase = errors.New("the order does not allow what would be erased")

// Plan says what an install erases: the disk that the rule picks, and those whose signatures go with it. It looks at
// nothing but its arguments. Errors match ErrNoDisk, or ErrErase with all that stands against it.
func Plan(disks []api.Disk, rule api.DiskRule, erase api.EraseRule) (api.DiskResult, error) {
	d, matched, err := ChooseDisk(disks, rule)
	if err != nil {
		return api.DiskResult{}, err
	}
	out := api.DiskResult{Disk: d, Matched: matched, Others: OtherSystems(disks, d)}
	var against []string
	if why := protected(d, erase); why != "" {
		against = append(against, describe(d)+" "+why)
	}
	for _, o := range disks {
		if o.Path == d.Path || o.Rejected != "" {
			continue
		}
		switch {
		case erase.Wipe == api.WipeAll && len(o.Contents) > 0, erase.WipeOldOS && o.OS != "":
			out.Wipes = append(out.Wipes, o)
		case o.OS != "":
			against = append(against, describe(o)+" holds an older system ("+o.OS+
				"), which could be started, or mixed up with the new one; --wipe-old-os erases its signatures")
		}
	}
	if len(against) > 0 {
		return out, fmt.Errorf("%w: %s", ErrErase, strings.Join(against, "; "))
	}
	return out, nil
}

// protected says why the install disk must not be erased; empty when it may.
func protected(d api.Disk, erase api.EraseRule) string {
	if erase.Wipe == api.WipeNone {
		if len(d.Contents) == 0 {
			return ""
		}
		return "holds " + strings.Join(d.Contents, ", ") + ", and wipe: none takes an empty disk only"
	}
	alien := slices.Clone(d.Foreign)
	if erase.Own != "" && Matches(d, erase.Own) {
		alien = slices.DeleteFunc(alien, func(s string) bool { return !strings.HasPrefix(s, foreignDisk) })
	}
	if erase.WipeForeign || len(alien) == 0 {
		return ""
	}
	return "holds what racker did not put there: " + strings.Join(alien, ", ") + "; --wipe-foreign allows it"
}
