package image

import (
	"context"
	"errors"
	"fmt"
)

// wipeSize is what is zeroed at each end of a disk and of its partitions: more than any signature takes there.
const wipeSize = 1 << 20

// Wipe makes a disk look empty to firmware, kernel and whoever looks for file systems: it zeroes the beginning and the end of
// each partition of a GUID partition table, further copies of btrfs superblocks, and then both ends of the disk itself with
// the tables. What lies between stays, and is not reachable by name any more. It may be repeated when it was cut off.
func (d *Disk) Wipe(ctx context.Context) error {
	parts, err := ReadPartitions(d, d.size)
	if err != nil && !errors.Is(err, ErrNoGPT) && !errors.Is(err, ErrGPT) {
		return err
	}
	for _, p := range parts {
		if err := d.wipeRange(ctx, p.Offset(), p.Size(), wipeSize); err != nil {
			return fmt.Errorf("partition %d: %w", p.Number, err)
		}
	}
	if err := d.Sync(); err != nil { // the table goes last: until then a repeat finds the partitions
		return fmt.Errorf("sync: %w", err)
	}
	if err := d.wipeRange(ctx, 0, d.size, tailSize); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// wipeRange zeroes what holds signatures in length bytes at off: end bytes at each end, and the mirrors of btrfs (on-disk
// format, superblock).
func (d *Disk) wipeRange(ctx context.Context, off, length, end int64) error {
	const mirror = 4096
	ranges := [][2]int64{{0, min(end, length)}, {max(0, length-end), min(end, length)}}
	for _, at := range []int64{64 << 20, 256 << 30} {
		if at+mirror <= length {
			ranges = append(ranges, [2]int64{at, mirror})
		}
	}
	for _, r := range ranges {
		if err := d.Zero(ctx, off+r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}
