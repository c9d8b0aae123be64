package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
	"github.com/racker-project/racker/pkg/image"
)

// entryPrefix begins the description of every boot entry that racker made; such entries are ours to change.
const entryPrefix = "racker: "

// firmwareResult is the result of the step.
type firmwareResult struct {
	Set   bool   `json:"set"`             // the disk is first in the firmware's order now
	Entry string `json:"entry,omitempty"` // Boot0005
	Why   string `json:"why,omitempty"`   // when it was not set
	BMC   string `json:"bmc,omitempty"`   // "disk" when the machine's own BMC took it, else why not
}

// firmware makes the disk what the machine boots, by all that it has: the BMC in-band, which needs no network, and the UEFI
// boot order. Firmware that does not let us is no failure: the server's boot answer leads to the disk all the same.
func (a *Agent) firmware(ctx context.Context, w *work) (firmwareResult, error) {
	bmc := a.bmcBootsDisk(ctx)
	res, err := a.bootOrder(ctx, w)
	res.BMC = bmc
	return res, err
}

// bmcBootsDisk has the BMC boot the disk, and says what it said; empty for a machine without one.
func (a *Agent) bmcBootsDisk(ctx context.Context) string {
	if a.machine.BootFromDisk == nil {
		return ""
	}
	err := a.machine.BootFromDisk(ctx, a.identity.Firmware != "bios")
	switch {
	case err == nil:
		a.log.Info("the disk is the BMC's boot device")
		return "disk"
	case errors.Is(err, hwinfo.ErrNoBMC):
		return ""
	}
	a.log.Warn("the BMC does not take a boot device", "err", err)
	return err.Error()
}

// bootOrder puts the installed system first in the UEFI boot order.
func (a *Agent) bootOrder(ctx context.Context, w *work) (firmwareResult, error) {
	if a.machine.EFIVars == "" {
		return firmwareResult{Why: "the firmware offers no EFI variables"}, nil
	}
	plan, err := a.target(ctx, w)
	if err != nil {
		return firmwareResult{}, err
	}
	esp, err := a.findESP(plan.Disk)
	if err != nil {
		return firmwareResult{}, err
	}
	if esp == nil {
		return firmwareResult{Why: "the image has no EFI system partition"}, nil
	}
	file := loader
	if a.identity.Arch == "arm64" {
		file = loaderARM
	}
	option, err := loadOption(entryPrefix+w.node, *esp, file)
	if err != nil {
		return firmwareResult{}, fmt.Errorf("boot entry for %s: %w", plan.Disk.Path, err)
	}
	n, err := efiVars{a.machine.EFIVars}.bootFirst(option)
	if err != nil {
		a.log.Warn("the firmware does not take a boot entry", "err", err)
		return firmwareResult{Why: err.Error()}, nil
	}
	a.log.Info("the disk is first in the firmware's boot order", "entry", bootName(n))
	return firmwareResult{Set: true, Entry: bootName(n)}, nil
}

// findESP gives the EFI system partition of a disk; nil when it has none.
func (a *Agent) findESP(disk api.Disk) (*image.Partition, error) {
	d, err := a.machine.OpenDisk(disk)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", disk.Path, err)
	}
	defer func() { _ = d.Close() }() // it was only read
	parts, err := image.ReadPartitions(d, d.Size())
	if errors.Is(err, image.ErrNoGPT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for an EFI system partition on %s: %w", disk.Path, err)
	}
	for i := range parts {
		if parts[i].Type == image.TypeESP {
			return &parts[i], nil
		}
	}
	return nil, nil
}

// bootName is the name of a boot entry's variable.
func bootName(n uint16) string { return fmt.Sprintf("Boot%04X", n) }

// bootFirst makes option a boot entry and the first of BootOrder. It takes the place of an entry that racker made
// before; further ones of racker are removed. Nothing is written that is already so, for the firmware's flash wears.
func (e efiVars) bootFirst(option []byte) (uint16, error) {
	entries, err := e.entries()
	if err != nil {
		return 0, err
	}
	var ours []uint16
	for n, data := range entries {
		if strings.HasPrefix(optionName(data), entryPrefix) {
			ours = append(ours, n)
		}
	}
	slices.Sort(ours)
	n, err := freeEntry(entries)
	if len(ours) > 0 {
		n, err = ours[0], nil
	}
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(entries[n], option) {
		if err := e.write(bootName(n), option); err != nil {
			return 0, fmt.Errorf("write %s: %w", bootName(n), err)
		}
	}
	old, err := e.read("BootOrder")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read BootOrder: %w", err)
	}
	order := orderBytes(firstOf(n, ours, bootOrder(old)))
	if !bytes.Equal(order, old) {
		if err := e.write("BootOrder", order); err != nil {
			return 0, fmt.Errorf("write BootOrder: %w", err)
		}
	}
	for _, m := range ours {
		if m == n {
			continue
		}
		if err := e.remove(bootName(m)); err != nil {
			return 0, fmt.Errorf("remove %s: %w", bootName(m), err)
		}
	}
	return n, nil
}

// firstOf puts n first in an order, and leaves out the others that are ours.
func firstOf(n uint16, ours, order []uint16) []uint16 {
	out := []uint16{n}
	for _, o := range order {
		if o != n && !slices.Contains(ours, o) {
			out = append(out, o)
		}
	}
	return out
}

// entries reads all Boot#### variables.
func (e efiVars) entries() (map[uint16][]byte, error) {
	files, err := os.ReadDir(e.dir)
	if err != nil {
		return nil, fmt.Errorf("read EFI variables: %w", err)
	}
	out := map[uint16][]byte{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), "-"+globalGUID)
		digits, isBoot := strings.CutPrefix(name, "Boot")
		if !ok || !isBoot || len(digits) != 4 {
			continue
		}
		n, err := strconv.ParseUint(digits, 16, 16)
		if err != nil || name != bootName(uint16(n)) {
			continue
		}
		data, err := e.read(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out[uint16(n)] = data
	}
	return out, nil
}

// freeEntry gives the lowest number that no entry has.
func freeEntry(entries map[uint16][]byte) (uint16, error) {
	for n := range uint16(0xffff) {
		if _, used := entries[n]; !used {
			return n, nil
		}
	}
	return 0, errors.New("all boot entries are in use")
}
