package hwinfo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
)

// blockSector is the unit of every size in sysfs, whatever the disk's own sectors are.
const blockSector = 512

// block is one whole block device, as sysfs shows it.
type block struct {
	Reader
	name  string
	dir   string // the resolved directory of the device
	parts []string
}

// Disks gives every block device that could be a disk, in natural order of path: candidates, and others with the reason
// why they are never written. Virtual devices without a size and the hidden paths of multipath NVMe are left out. A
// disk whose contents cannot be read is no error; its Contents say so.
func (r Reader) Disks(ctx context.Context) ([]api.Disk, error) {
	entries, err := os.ReadDir(r.sys("block"))
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	use, err := r.uses()
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var blocks []block
	for _, e := range entries {
		dir, err := filepath.EvalSymlinks(r.sys("block", e.Name()))
		if err != nil || attr(dir, "hidden") == "1" {
			continue // unplugged since, or one path of several
		}
		blocks = append(blocks, block{Reader: r, name: e.Name(), dir: dir, parts: partitionNames(dir)})
	}
	slices.SortFunc(blocks, func(a, b block) int { return natural(a.name, b.name) })
	disks := make([]api.Disk, len(blocks))
	g, ctx := errgroup.WithContext(ctx)
	for i, b := range blocks {
		g.Go(func() error {
			disks[i] = b.inspect(ctx, use)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	return slices.DeleteFunc(disks, func(d api.Disk) bool { return d.Transport == transportVirtual && d.Size == 0 }), nil
}

func partitionNames(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "*", "partition")) // the pattern is well formed
	for i, f := range found {
		found[i] = filepath.Base(filepath.Dir(f))
	}
	return found
}

func (b block) inspect(ctx context.Context, use uses) api.Disk {
	d := api.Disk{
		Name:       strings.ReplaceAll(b.name, "!", "/"),
		Transport:  b.transport(),
		Size:       attrInt(b.dir, "size") * blockSector,
		SectorSize: b.sectorSize(),
		Rotational: attr(b.dir, "queue", "rotational") == "1",
		Removable:  attr(b.dir, "removable") == "1",
	}
	d.Path = "/dev/" + d.Name
	if d.Transport == transportVirtual {
		d.Rejected = b.virtualKind()
		return d
	}
	d.Model, d.Serial, d.WWN = b.model(), b.serial(), b.wwn()
	d.ByPath = b.byPath()
	d.Rejected = b.rejected(d, use)
	if b.readable(d) {
		found := b.look(ctx, d)
		d.Contents, d.OS, d.Foreign = found.contents, found.os, found.foreign
	}
	return d
}

// rejected says why the disk rule never takes d; the most telling reason first.
func (b block) rejected(d api.Disk, use uses) string {
	kind := attr(b.dir, "device", "type")
	switch {
	case b.isOptical():
		return "a CD or DVD drive"
	case isBMCMedia(b.vendorModel()):
		return "virtual media of the BMC"
	case !slices.Contains([]string{"nvme", "sata", "sas", "virtio"}, d.Transport):
		return "attached by " + d.Transport
	case strings.Contains(b.dir, "/host") && kind != "" && kind != "0": // SPC-5, table 148: 0 is a disk
		return "not a disk, SCSI type " + kind
	case d.Removable:
		return "removable"
	case d.Size == 0:
		return "it has no size"
	case attr(b.dir, "ro") == "1":
		return "read-only"
	}
	return b.inUse(use)
}

// readable reports whether looking at what is on d is safe and quick.
func (b block) readable(d api.Disk) bool {
	return d.Size > 0 && !b.isOptical() && !isBMCMedia(b.vendorModel())
}

func (b block) isOptical() bool {
	return strings.HasPrefix(b.name, "sr") || attr(b.dir, "device", "type") == "5" && strings.Contains(b.dir, "/host")
}

// isBMCMedia knows the names that BMCs give to the drives that they show to their servers.
func isBMCMedia(vendorModel string) bool {
	s := strings.ToLower(vendorModel)
	return slices.ContainsFunc([]string{
		"ami virtual", "virtual hdisk", "virtual floppy", "virtual cd", "virtual dvd", "virtual media", "virtual usb",
		"idrac", "lcdrive", "ilo virtual", "ipmi virtual", "imm virtual", "remote media", "bmc virtual", "avocent",
		"peppercon", "insyde", "openbmc", "smc virtual", "rmc virtual",
	}, func(name string) bool { return strings.Contains(s, name) })
}
