package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
)

// releaser takes idle software RAIDs and devices of device mapper apart, which would hold a disk against its new owner.
type releaser struct {
	sys, dev string
	// remove removes a device of device mapper.
	remove func(control string, major, minor uint32) error
}

// release takes apart what is made of the disk, from the top of each stack down.
func (r releaser) release(ctx context.Context, d api.Disk) error {
	for _, name := range (hwinfo.Reader{Sys: r.sys, Dev: r.dev}).Leftovers(d.Name) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.apart(name); err != nil {
			return fmt.Errorf("take %s apart: %w", name, err)
		}
	}
	return nil
}

func (r releaser) apart(name string) error {
	dir := filepath.Join(r.sys, "block", name)
	if !strings.HasPrefix(name, "dm-") {
		// Linux, Documentation/admin-guide/md.rst: "clear" stops the array, as mdadm --stop does.
		return os.WriteFile(filepath.Join(dir, "md/array_state"), []byte("clear"), 0)
	}
	b, err := os.ReadFile(filepath.Join(dir, "dev"))
	if err != nil {
		return err
	}
	text, rest, _ := strings.Cut(strings.TrimSpace(string(b)), ":")
	major, errMajor := strconv.ParseUint(text, 10, 32)
	minor, errMinor := strconv.ParseUint(rest, 10, 32)
	if err := errors.Join(errMajor, errMinor); err != nil {
		return err
	}
	return r.remove(filepath.Join(r.dev, "mapper/control"), uint32(major), uint32(minor))
}

// Sizes and numbers of linux/dm-ioctl.h.
const (
	dmVersion    = 4
	dmStructSize = 312
	dmDevOffset  = 40
	dmDevRemove  = 3<<30 | dmStructSize<<16 | 0xfd<<8 | 4 // _IOWR(DM_IOCTL, DM_DEV_REMOVE_CMD, struct dm_ioctl)
)

// dmRequest is a struct dm_ioctl that names a device by its number.
func dmRequest(major, minor uint32) []byte {
	b := make([]byte, dmStructSize)
	binary.NativeEndian.PutUint32(b, dmVersion)
	binary.NativeEndian.PutUint32(b[12:], dmStructSize)
	binary.NativeEndian.PutUint64(b[dmDevOffset:], unix.Mkdev(major, minor))
	return b
}

func removeMapped(control string, major, minor uint32) error {
	f, err := os.OpenFile(control, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := dmRequest(major, minor)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), dmDevRemove, uintptr(unsafe.Pointer(&b[0])))
	if errno != 0 {
		return errors.Join(errno, f.Close())
	}
	return f.Close()
}
