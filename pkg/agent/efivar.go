package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// globalGUID is EFI_GLOBAL_VARIABLE (UEFI 2.10, 3.3); efivarfs names files NAME-GUID.
const globalGUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

// varAttributes are those of boot variables: non-volatile, boot service access, runtime access (UEFI 2.10, 8.2).
const varAttributes = 0x7

// immutableFlag is FS_IMMUTABLE_FL of linux/fs.h.
const immutableFlag = 0x10

// efiVars is a mounted efivarfs: each file is four bytes of attributes and the data.
type efiVars struct{ dir string }

func (e efiVars) file(name string) string { return filepath.Join(e.dir, name+"-"+globalGUID) }

// read gives a variable's data; the error matches fs.ErrNotExist when there is none.
func (e efiVars) read(name string) ([]byte, error) {
	b, err := os.ReadFile(e.file(name))
	if err != nil {
		return nil, err
	}
	if len(b) < 4 {
		return nil, fmt.Errorf("EFI variable %s: only %d bytes", name, len(b))
	}
	return b[4:], nil
}

// write sets a variable in one write(2), as efivarfs wants it.
func (e efiVars) write(name string, data []byte) error {
	if err := e.unlock(name); err != nil {
		return err
	}
	f, err := os.OpenFile(e.file(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(binary.LittleEndian.AppendUint32(nil, varAttributes), data...))
	return errors.Join(err, f.Close())
}

// remove deletes a variable.
func (e efiVars) remove(name string) error {
	if err := e.unlock(name); err != nil {
		return err
	}
	return os.Remove(e.file(name))
}

// unlock takes the immutable flag off a variable's file: efivarfs sets it on all that it does not know to be harmless
// (kernel, Documentation/filesystems/efivarfs.rst). A variable that does not exist is fine, and so is a file system
// without such flags.
func (e efiVars) unlock(name string) error {
	f, err := os.Open(e.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || err == nil && flags&immutableFlag == 0 {
		return nil
	}
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags&^immutableFlag))
	}
	if err != nil {
		return fmt.Errorf("make EFI variable %s writable: %w", name, err)
	}
	return nil
}
