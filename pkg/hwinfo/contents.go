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

// findings is what is on a disk.
type findings struct {
	contents []string // "gpt", "ext4 ROOT", ..., "OS: Flatcar"
	os       string   // that could boot from it
	foreign  []string
}

// look says what is on the disk.
func (b block) look(ctx context.Context, d api.Disk) findings {
	f, err := os.Open(b.dev(strings.ReplaceAll(b.name, "!", "/")))
	if err != nil {
		return findings{contents: []string{"unreadable: " + err.Error()}}
	}
	defer f.Close()
	found, err := lookAt(ctx, f, d.Size, d.SectorSize)
	if err != nil {
		found.contents = append(found.contents, "unreadable: "+err.Error())
	}
	return found
}

// sectorSize is the logical block size.
func (b block) sectorSize() int64 {
	if n := attrInt(b.dir, "queue", "logical_block_size"); n >= blockSector && n <= 1<<16 {
		return n
	}
	return blockSector
}

// Contents says what is on a disk, or in an image of one, of size bytes in sectors of sector bytes: first the kind of
// the partition table, then file systems and other uses with their labels, then, where one seems to be installed, a
// line "OS: ...". An empty disk gives nil. An error is one of r; what was found before it is still given.
func Contents(ctx context.Context, r io.ReaderAt, size, sector int64) ([]string, error) {
	found, err := lookAt(ctx, r, size, sector)
	return found.contents, err
}

func lookAt(ctx context.Context, r io.ReaderAt, size, sector int64) (f findings, err error) {
	t, err := readTable(r, size, sector)
	if err != nil {
		return f, err
	}
	whole, err := wholeDisk(r, t, size)
	if err != nil {
		return f, err
	}
	if whole.kind != "" {
		f.contents = append(f.contents, whole.text(""))
	}
	if whole.kind != "" && len(t.parts) == 0 && t.kind != tableGPT {
		f.foreign = foreign(table{}, whole)
		return f, nil
	}
	if t.kind != "" {
		f.contents = append(f.contents, t.kind)
	}
	for i := range t.parts[:min(len(t.parts), maxListed)] {
		if err := ctx.Err(); err != nil {
			return f, err
		}
		p := &t.parts[i]
		if p.found, err = signatureAt(r, p.offset, p.size); err != nil {
			return f, fmt.Errorf("partition %d: %w", p.number, err)
		}
		if text := p.found.text(p.name); text != "" {
			f.contents = append(f.contents, text)
		}
	}
	system, boots := installedOS(t)
	if system != "" {
		f.contents = append(f.contents, osPrefix+system)
	}
	if boots {
		f.os = system
	}
	f.foreign = foreign(t, whole)
	return f, nil
}

// wholeDisk finds what takes a disk as a whole. Behind a GPT only what lies at the end of the disk can be: members of a
// RAID. A boot sector of FAT also looks like an MBR.
func wholeDisk(r io.ReaderAt, t table, size int64) (signature, error) {
	if t.kind == tableGPT {
		return atEnd(r, 0, size)
	}
	return signatureAt(r, 0, size)
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
