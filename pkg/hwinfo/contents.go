package hwinfo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// osPrefix begins the line of Disk.Contents that says which operating system is there.
const osPrefix = "OS: "

// maxListed bounds the partitions that are looked at and listed.
const maxListed = 128

// contents says what is on the disk: "gpt", "ext4 ROOT", ..., "OS: Flatcar".
func (b block) contents(ctx context.Context, d api.Disk) []string {
	f, err := os.Open(b.dev(strings.ReplaceAll(b.name, "!", "/")))
	if err != nil {
		return []string{"unreadable: " + err.Error()}
	}
	defer f.Close()
	sector := attrInt(b.dir, "queue", "logical_block_size")
	if sector < blockSector || sector > 1<<16 {
		sector = blockSector
	}
	found, err := Contents(ctx, f, d.Size, sector)
	if err != nil {
		return append(found, "unreadable: "+err.Error())
	}
	return found
}

// Contents says what is on a disk, or in an image of one, of size bytes in sectors of sector bytes: first the kind of
// the partition table, then file systems and other uses with their labels, then, where one seems to be installed, a
// line "OS: ...". An empty disk gives nil. An error is one of r; what was found before it is still given.
func Contents(ctx context.Context, r io.ReaderAt, size, sector int64) ([]string, error) {
	t, err := readTable(r, size, sector)
	if err != nil {
		return nil, err
	}
	var out []string
	if t.kind == "" || t.kind == tableMBR { // a boot sector of FAT also looks like an MBR
		s, err := signatureAt(r, 0, size)
		if err != nil {
			return nil, err
		}
		if s.kind != "" {
			out = append(out, s.text(""))
			if len(t.parts) == 0 {
				return out, nil
			}
		}
	}
	if t.kind != "" {
		out = append(out, t.kind)
	}
	for i := range t.parts[:min(len(t.parts), maxListed)] {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		p := &t.parts[i]
		if p.found, err = signatureAt(r, p.offset, p.size); err != nil {
			return out, fmt.Errorf("partition %d: %w", p.number, err)
		}
		if text := p.found.text(p.name); text != "" {
			out = append(out, text)
		}
	}
	if system := installedOS(t); system != "" {
		out = append(out, osPrefix+system)
	}
	return out, nil
}

// text is one line of Contents. The name of a partition stands in for a label.
func (s signature) text(partition string) string {
	switch {
	case s.kind == "" && partition == "":
		return ""
	case s.kind == "":
		return "partition " + partition
	case s.label == "" && partition == "":
		return s.kind
	case s.label == "":
		return s.kind + " " + partition
	case partition != "" && partition != s.label:
		return s.kind + " " + s.label + " (partition " + partition + ")"
	}
	return s.kind + " " + s.label
}
