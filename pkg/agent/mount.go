package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Paths of the running kernel.
const (
	procDir    = "/proc"
	sysDir     = "/sys"
	devDir     = "/dev"
	runDir     = "/run"
	efivarsDir = "/sys/firmware/efi/efivars"
)

// mountKernel mounts the kernel's own file systems, which an initramfs starts without. What is mounted already is left.
func mountKernel() error {
	var errs []error
	for _, m := range []struct {
		source, at, kind, data string
		flags                  uintptr
	}{
		{"proc", procDir, "proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", sysDir, "sysfs", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"devtmpfs", devDir, "devtmpfs", "mode=0755", unix.MS_NOSUID},
		{"tmpfs", runDir, "tmpfs", "mode=0755", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/tmp", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	} {
		err := os.MkdirAll(m.at, 0o755)
		if err == nil {
			err = unix.Mount(m.source, m.at, m.kind, m.flags, m.data)
		}
		if err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.at, err))
		}
	}
	return errors.Join(errs...)
}

// mountEFIVars mounts efivarfs on a machine with UEFI, and gives its directory; "" where there is none.
func mountEFIVars() (string, error) {
	if _, err := os.Stat(filepath.Dir(efivarsDir)); err != nil {
		return "", nil
	}
	err := unix.Mount("efivarfs", efivarsDir, "efivarfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil && !errors.Is(err, unix.EBUSY) {
		return "", fmt.Errorf("mount %s: %w", efivarsDir, err)
	}
	return efivarsDir, nil
}

// mountPrivate mounts a device at a new directory below /run.
func mountPrivate(device, filesystem string) (string, func() error, error) {
	dir, err := os.MkdirTemp(runDir, "mount-")
	if err != nil {
		return "", nil, err
	}
	if err := unix.Mount(device, dir, filesystem, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	leave := func() error {
		d, err := os.Open(dir)
		if err == nil {
			err = errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
		}
		if err := errors.Join(err, unix.Unmount(dir, 0)); err != nil {
			return fmt.Errorf("unmount %s: %w", device, err)
		}
		return os.Remove(dir)
	}
	return dir, leave, nil
}
