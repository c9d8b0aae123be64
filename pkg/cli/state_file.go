package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeSecret writes a file of mode 0600, whole or not at all. One that is there stays, unless replace is set. What is no
// regular file, such as a pipe, is written as it is.
func writeSecret(name string, replace bool, write func(io.Writer) error) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		return usageError("%s is a folder", name)
	case !info.Mode().IsRegular():
		return writeOpen(name, write)
	case !replace:
		return existsError(name)
	}
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already where it was renamed
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), name)
	} else if err = os.Link(f.Name(), name); errors.Is(err, fs.ErrExist) { // it came meanwhile
		return existsError(name)
	}
	if err != nil {
		return err
	}
	return syncFolder(dir)
}

func existsError(name string) error {
	return withHint(fmt.Errorf("%s is there already", name), "another name, or --replace")
}

func writeOpen(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// syncFolder makes what was created in a folder survive a crash.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
