package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
)

// disk is what a fake server's only disk holds: no data, but what the data was. The zero value is empty, or half written,
// which is the same to whoever boots from it.
type disk struct {
	image  string // ID of the image that is whole on it
	size   int64  // of the image
	esp    string // partition GUID of its EFI system partition
	head   []byte // the first MiB of the image, shared by all disks that hold it
	config *installed
}

// bootable reports whether a whole image is on the disk.
func (d *disk) bootable() bool { return d.image != "" }

// ReadAt implements io.ReaderAt: beyond the head all is zero.
func (d disk) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off < int64(len(d.head)) {
		copy(p, d.head[off:])
	}
	return len(p), nil
}

// contents names what is on the disk for the survey.
func (d *disk) contents() []string {
	if !d.bootable() {
		return nil
	}
	return []string{"gpt", "image " + d.image}
}

// held gives what the disk holds now.
func (s *session) held() disk {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	return s.node.disk
}

// bootable reports whether the disk can be booted from.
func (s *session) bootable() bool {
	d := s.held()
	return d.bootable()
}

// oemName is the name of the partition that takes the Ignition config.
const oemName = "OEM"

// place implements agent.Machine.Place: the config is understood, and what the installed system needs of it kept.
func (b *board) place(_ context.Context, to api.Disk, raw []byte) (string, error) {
	d := b.held()
	parts, err := image.ReadPartitions(d, d.size)
	if err != nil {
		return "", fmt.Errorf("look for the OEM partition on %s: %w", to.Path, err)
	}
	for _, p := range parts {
		if p.Name != oemName {
			continue
		}
		c, err := parseConfig(raw)
		if err != nil {
			return "", err
		}
		b.note(func(n *node) { n.disk.config = c })
		return image.PartitionPath(to.Path, p.Number), nil
	}
	return "", fmt.Errorf("the image on %s has no partition %s to take the Ignition config", to.Path, oemName)
}
