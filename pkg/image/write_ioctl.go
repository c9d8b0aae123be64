package image

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The requests of linux/fs.h that have no typed function in package unix.

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		for {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
			if errno != unix.EINTR {
				return
			}
		}
	})
	if err == nil && errno != 0 {
		return errno
	}
	return err
}

func ioctlUint64(f *os.File, request uintptr) (uint64, error) {
	var v uint64
	err := ioctl(f, request, unsafe.Pointer(&v))
	return v, err
}

func ioctlInt(f *os.File, request uintptr) (int, error) {
	var v int32
	err := ioctl(f, request, unsafe.Pointer(&v))
	return int(v), err
}

func ioctlRange(f *os.File, request uintptr, off, length int64) error {
	v := [2]uint64{uint64(off), uint64(length)}
	return ioctl(f, request, unsafe.Pointer(&v))
}

func ioctlNone(f *os.File, request uintptr) error { return ioctl(f, request, nil) }
