package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a held lock is tried again.
const lockPoll = 20 * time.Millisecond

// openLocked opens the state file, takes the lock that bbolt takes again on the same open file, and verifies the
// file while nobody else can write to it.
func openLocked(path string, flag int, mode os.FileMode, opt Options) (*os.File, error) {
	f, err := lockedFile(path, flag, mode, opt.LockTimeout)
	if err != nil {
		return nil, err
	}
	if err := verifyFile(f, opt.Log); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lockedFile opens a file and locks it; one that is opened for reading only is shared with other readers.
func lockedFile(path string, flag int, mode os.FileMode, timeout time.Duration) (*os.File, error) {
	how := unix.LOCK_EX
	if flag&(os.O_RDWR|os.O_WRONLY) == 0 {
		how = unix.LOCK_SH
	}
	deadline := time.Now().Add(timeout)
	for {
		f, err := os.OpenFile(path, flag, mode)
		if err != nil {
			return nil, err
		}
		stale := false
		if err = lock(f, how, deadline); err == nil {
			stale, err = replaced(f, path)
		}
		if err == nil && !stale {
			return f, nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// replaced tells whether another file took the path while we waited for the lock of this one, as an import does.
func replaced(f *os.File, path string) (bool, error) {
	have, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && !os.SameFile(have, there), err
}

func lock(f *os.File, how int, deadline time.Time) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock: %w", err)
		case time.Now().After(deadline):
			return ErrLocked
		}
		time.Sleep(lockPoll)
	}
}

// verifyFile checks every page of a file that has any; an empty one is new.
func verifyFile(f *os.File, log *slog.Logger) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrCorrupt)
	}
	whole, err := verify(f, info.Size())
	if err == nil && !whole {
		log.Warn("one of the two meta pages of the state is damaged; the last transaction may be lost", "file", f.Name())
	}
	return err
}
