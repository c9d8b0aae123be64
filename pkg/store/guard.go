package store

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// guard runs op on the mapped file. Where bbolt panics on a page that makes no sense, or the file lost its end after it was
// mapped, the panic becomes an error that matches ErrCorrupt, and panicked is true: bbolt's own locks are then in doubt.
func guard(op func() error) (panicked bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			panicked, err = true, fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	return false, op()
}

// explain gives our errors for those of bbolt and of the kernel.
func explain(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// view runs a read transaction.
func (b *bolt) view(read func(*bbolt.Tx) error) error {
	_, err := guard(func() error { return b.db.View(read) })
	return explain(err)
}

// update runs a write transaction; the commit lock is held. An error leaves the state as it was. Where that cannot be
// told any more, the store takes no further transaction until it is opened again.
func (b *bolt) update(write func(*bbolt.Tx) error) error {
	if b.broken != nil {
		return b.broken
	}
	var tx *bbolt.Tx
	before := int64(-1)
	panicked, err := guard(func() (err error) {
		if tx, err = b.db.Begin(true); err != nil {
			return err
		}
		if meta := tx.Bucket([]byte(bucketMeta)); meta != nil {
			before = number(meta.Get([]byte(metaRev)))
		}
		if err := write(tx); err != nil {
			return err
		}
		return tx.Commit()
	})
	if err == nil || tx == nil {
		return explain(err)
	}
	again, rolled := guard(tx.Rollback)
	if errors.Is(rolled, bolterrors.ErrTxClosed) { // Commit did it
		rolled = nil
	}
	switch {
	case panicked || again || rolled != nil:
		b.broken, b.stuck = err, again
	case before >= 0 && !b.still(before):
		b.broken = fmt.Errorf("%w: a write failed half way: %w", ErrCorrupt, err)
		return b.broken
	}
	return explain(err)
}

// still tells whether the newest revision is rev. When the fsync of a meta page fails, the page may be in force all the
// same.
func (b *bolt) still(rev int64) bool {
	same := false
	err := b.view(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		same = meta == nil || number(meta.Get([]byte(metaRev))) == rev
		return nil
	})
	return err == nil && same
}
