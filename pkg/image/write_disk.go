package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrBusy says that the disk is mounted, or held by something else.
var ErrBusy = errors.New("the disk is in use")

// writebackSize is how much is written before the kernel is asked to begin writing it to the disk: without that a
// server with much memory takes all in at once, and the sync at the end shows no progress for minutes.
const writebackSize = 1 << 20

// Disk is a block device, or a regular file in its place, as a Target. Its methods may be called concurrently, Close
// excepted.
type Disk struct {
	f      *os.File
	block  bool
	size   int64
	sector int64 // logical block size in bytes
}

// OpenDisk opens a block device for reading and writing. With exclusive, O_EXCL makes the kernel refuse a disk that is
// mounted or held, and keeps others from mounting it until Close; such an error matches ErrBusy. A regular file is
// opened as it is.
func OpenDisk(path string, exclusive bool) (*Disk, error) {
	flags := os.O_RDWR
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open disk: %w", err)
	}
	isBlock := st.Mode()&fs.ModeDevice != 0 && st.Mode()&fs.ModeCharDevice == 0
	if !isBlock && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("open disk %s: neither a block device nor a file", path)
	}
	if isBlock && exclusive {
		flags |= unix.O_EXCL // open(2): on a block device it has this meaning without O_CREAT
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("open disk %s: %w: %w", path, ErrBusy, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open disk: %w", err)
	}
	d := &Disk{f: f, block: isBlock, size: st.Size(), sector: SectorSize}
	if isBlock {
		if err := d.geometry(); err != nil {
			return nil, errors.Join(fmt.Errorf("open disk %s: %w", path, err), f.Close())
		}
	}
	return d, nil
}

// geometry asks the device for its size, sector size and whether it takes writes.
func (d *Disk) geometry() error {
	size, err := ioctlUint64(d.f, unix.BLKGETSIZE64)
	if err != nil {
		return fmt.Errorf("size: %w", err)
	}
	sector, err := ioctlInt(d.f, unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("sector size: %w", err)
	}
	readOnly, err := ioctlInt(d.f, unix.BLKROGET)
	if err != nil {
		return fmt.Errorf("read-only flag: %w", err)
	}
	switch {
	case readOnly != 0:
		return unix.EROFS
	case size == 0 || size > maxRawSize || sector < SectorSize:
		return fmt.Errorf("it says %d bytes in sectors of %d", size, sector)
	}
	d.size, d.sector = int64(size), int64(sector)
	return nil
}

// Path is the path that the disk was opened by.
func (d *Disk) Path() string { return d.f.Name() }

// Size implements Target.
func (d *Disk) Size() int64 { return d.size }

// SectorSize is the logical block size in bytes: 512, or 4096.
func (d *Disk) SectorSize() int64 { return d.sector }

// ReadAt implements io.ReaderAt.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) { return d.f.ReadAt(p, off) }

// WriteAt implements io.WriterAt.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	n, err := d.f.WriteAt(p, off)
	if err == nil && n >= writebackSize {
		// A hint only: an error of the disk comes back from Sync.
		_ = unix.SyncFileRange(int(d.f.Fd()), off, int64(n), unix.SYNC_FILE_RANGE_WRITE)
	}
	return n, err
}

// Sync implements Target.
func (d *Disk) Sync() error { return d.f.Sync() }

// Close gives the disk free. A partition of it can be mounted only then, when it was opened exclusively.
func (d *Disk) Close() error { return d.f.Close() }

// Zero implements Target, by BLKZEROOUT on a block device: the kernel uses the disk's own command for it where that
// surely reads back as zero, and writes zeroes elsewhere. Discard is never trusted.
func (d *Disk) Zero(ctx context.Context, off, length int64) error {
	if off < 0 || length < 0 || off > d.size-length {
		return fmt.Errorf("zero %d bytes at %d of %s: beyond its end at %d", length, off, d.Path(), d.size)
	}
	end := off + length
	from := min(end, (off+d.sector-1)/d.sector*d.sector)
	to := max(from, end/d.sector*d.sector)
	for at := from; at < to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(zeroSlice, to-at)
		if err := d.zeroWhole(ctx, at, n); err != nil {
			return fmt.Errorf("zero %d bytes at %d of %s: %w", n, at, d.Path(), err)
		}
		at += n
	}
	// The ragged ends, when the image does not end at a sector of the disk.
	return errors.Join(d.writeZeroes(ctx, off, from-off), d.writeZeroes(ctx, to, end-to))
}

// zeroWhole zeroes whole sectors by the best means that the target has.
func (d *Disk) zeroWhole(ctx context.Context, off, length int64) error {
	var err error
	if d.block {
		err = ioctlRange(d.f, unix.BLKZEROOUT, off, length)
	} else {
		err = unix.Fallocate(int(d.f.Fd()), unix.FALLOC_FL_ZERO_RANGE, off, length)
		if unsupported(err) {
			err = unix.Fallocate(int(d.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
		}
	}
	if unsupported(err) {
		return d.writeZeroes(ctx, off, length)
	}
	return err
}

func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOSYS)
}

func (d *Disk) writeZeroes(ctx context.Context, off, length int64) error {
	if length == 0 {
		return nil
	}
	zero := make([]byte, min(length, writebackSize))
	for length > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := d.WriteAt(zero[:min(length, int64(len(zero)))], off)
		if err != nil {
			return err
		}
		off, length = off+int64(n), length-int64(n)
	}
	return nil
}
