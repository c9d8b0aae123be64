package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	rereadTimeout = 15 * time.Second
	rereadPause   = 100 * time.Millisecond
)

// PartitionPath is the device node of a partition as the kernel names it: /dev/vda9, /dev/nvme0n1p9.
func PartitionPath(disk string, number int) string {
	if disk != "" && disk[len(disk)-1] >= '0' && disk[len(disk)-1] <= '9' {
		disk += "p"
	}
	return disk + strconv.Itoa(number)
}

// RereadPartitions makes the kernel read the partition table that is on the disk now, and returns when each partition
// of it has its device node. A kernel that was built without GUID partition tables is told the partitions one by one.
// It gives up after 15 s, or when ctx ends. It does nothing for a regular file.
func (d *Disk) RereadPartitions(ctx context.Context) error {
	if !d.block {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	for read := false; ; {
		var err error
		if !read { // once: each reading may give the partitions other numbers, and their nodes follow later
			err = ioctlNone(d.f, unix.BLKRRPART)
			read = err == nil
		}
		if read {
			if err = d.nodesPresent(); err == nil {
				return nil
			}
		}
		select {
		case <-time.After(rereadPause):
		case <-ctx.Done():
			return fmt.Errorf("read the partition table of %s again: %w", d.Path(), errors.Join(err, ctx.Err()))
		}
	}
}

// nodesPresent compares the partition table with what the kernel and devtmpfs show.
func (d *Disk) nodesPresent() error {
	parts, err := ReadPartitions(d, d.size)
	if errors.Is(err, ErrNoGPT) {
		return nil // an MBR disk: BLKRRPART returned, so the kernel has its partitions
	}
	if err != nil {
		return err
	}
	known, err := d.kernelPartitions()
	if err != nil {
		return err
	}
	if len(known) == 0 && len(parts) > 0 {
		for _, p := range parts {
			if err := d.addPartition(p); err != nil {
				return fmt.Errorf("add partition %d: %w", p.Number, err)
			}
		}
		if known, err = d.kernelPartitions(); err != nil {
			return err
		}
	}
	for _, p := range parts {
		name, ok := known[p.Number]
		if !ok {
			return fmt.Errorf("the kernel does not show partition %d", p.Number)
		}
		if err := nodePresent(name); err != nil {
			return err
		}
	}
	return nil
}

// nodePresent finds the device node of a partition, with the numbers that it has now: the kernel may give others at each
// reading of the table, and whoever makes the nodes may be slower.
func nodePresent(name string) error {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join("/dev", name), &st); err != nil {
		return &os.PathError{Op: "stat", Path: "/dev/" + name, Err: err}
	}
	b, err := os.ReadFile(filepath.Join("/sys/class/block", name, "dev"))
	if err != nil {
		return err
	}
	if has, want := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), strings.TrimSpace(string(b)); has != want {
		return fmt.Errorf("/dev/%s is device %s, and the partition is %s", name, has, want)
	}
	return nil
}

// addPartition tells the kernel of one partition; BLKPG of linux/blkpg.h.
func (d *Disk) addPartition(p Partition) error {
	part := unix.BlkpgPartition{Start: p.Offset(), Length: p.Size(), Pno: int32(p.Number)}
	arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_ADD_PARTITION, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	return ioctl(d.f, unix.BLKPG, unsafe.Pointer(&arg))
}

// kernelPartitions gives partition number -> device name from sysfs.
func (d *Disk) kernelPartitions() (map[int]string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(d.f.Fd()), &st); err != nil {
		return nil, err
	}
	dir := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	known := map[int]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name(), "partition"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil {
			known[n] = e.Name()
		}
	}
	return known, nil
}
