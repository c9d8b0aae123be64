package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Limits and defaults of the embedded engine.
const (
	// MaxValue is one more than the longest value in bytes.
	MaxValue = 1 << 20
	// MaxKey is the longest key in bytes.
	MaxKey = 1024

	defaultLockTimeout = 500 * time.Millisecond
	defaultWatchBuffer = 1024
)

var (
	// ErrCorrupt is matched by Open for a file that is truncated, damaged or no state file at all.
	ErrCorrupt = errors.New("state file is damaged")
	// ErrKey is matched by Txn for a key that is empty or longer than MaxKey, or that one transaction writes twice.
	ErrKey = errors.New("key cannot be used")
)

// Options of Open. The zero value is usable.
type Options struct {
	// LockTimeout is how long Open waits for another process to release the file; 0 means half a second.
	LockTimeout time.Duration
	// WatchBuffer is how many changes a watcher may lag behind before it is dropped; 0 means 1024.
	WatchBuffer int
	// Migrations[i] takes the state from schema i+1 to i+2; the schema of this program is len(Migrations)+1.
	Migrations []Migration
}

// names of the buckets and of the keys of the meta bucket. A value of the kv bucket is the revision, eight
// bytes big-endian, and then the value.
const (
	bucketKV   = "kv"
	bucketMeta = "meta"
	metaRev    = "rev"
	metaSchema = "schema"
	revSize    = 8
)

// bolt is the embedded engine. Writers queue up; whoever gets the commit lock writes the whole queue in one
// bbolt transaction, so that many nodes changing at once cost one fsync.
type bolt struct {
	db      *bbolt.DB
	path    string
	watches watches

	commit sync.Mutex // held while a batch is written and published
	mu     sync.Mutex // guards queue and closed
	queue  []*request
	closed bool
}

// Open opens the embedded engine's file, creating it (mode 0600) and its directory (mode 0700) where they are
// missing. Errors match ErrLocked, ErrCorrupt or ErrSchema and name the file.
func Open(path string, opt Options) (Store, error) {
	if opt.LockTimeout <= 0 {
		opt.LockTimeout = defaultLockTimeout
	}
	if opt.WatchBuffer <= 0 {
		opt.WatchBuffer = defaultWatchBuffer
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, err)
	}
	db, err := openBolt(path, opt.LockTimeout)
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return prepare(tx, opt.Migrations) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open state %s: %w", path, err), db.Close())
	}
	return &bolt{db: db, path: path, watches: watches{buffer: opt.WatchBuffer}}, nil
}

// openBolt locks and verifies the file before bbolt maps it: a page that points outside the file would
// otherwise end the process with a fault that nothing can recover from.
func openBolt(path string, timeout time.Duration) (db *bbolt.DB, err error) {
	var file *os.File
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
		if err != nil && file != nil {
			_ = file.Close() // closed already where bbolt saw the error itself
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      timeout,
		FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := openLocked(name, flag, mode, timeout)
			file = f
			return f, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return db, err
}

// Get implements Store.
func (b *bolt) Get(ctx context.Context, key string) (KV, error) {
	var kv KV
	err := b.view(ctx, func(bucket *bbolt.Bucket) error {
		raw := bucket.Get([]byte(key))
		if raw == nil {
			return ErrNotFound
		}
		kv = decode([]byte(key), raw)
		return nil
	})
	if err != nil {
		return KV{}, fmt.Errorf("get %s: %w", key, err)
	}
	return kv, nil
}

// List implements Store.
func (b *bolt) List(ctx context.Context, prefix string) ([]KV, error) {
	var out []KV
	err := b.view(ctx, func(bucket *bbolt.Bucket) error {
		c := bucket.Cursor()
		for k, raw := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, raw = c.Next() {
			out = append(out, decode(k, raw))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	return out, nil
}

// Watch implements Store.
func (b *bolt) Watch(ctx context.Context, prefix string) (<-chan Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("watch %s: %w", prefix, err)
	}
	ch, err := b.watches.add(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", prefix, err)
	}
	return ch, nil
}

// Close implements Store. Watchers' channels are closed; closing twice is no error.
func (b *bolt) Close() error {
	b.mu.Lock()
	was := b.closed
	b.closed = true
	b.mu.Unlock()
	if was {
		return nil
	}
	b.commit.Lock()
	defer b.commit.Unlock()
	b.watches.close()
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close state %s: %w", b.path, err)
	}
	return nil
}

// view runs a read transaction over the key-value bucket.
func (b *bolt) view(ctx context.Context, read func(*bbolt.Bucket) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := b.db.View(func(tx *bbolt.Tx) error { return read(tx.Bucket([]byte(bucketKV))) })
	return closedError(err)
}

// closedError gives ErrClosed for bbolt's word for it.
func closedError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// decode copies what bbolt lends until the end of its transaction.
func decode(key, raw []byte) KV {
	return KV{Key: string(key), Rev: revision(raw), Value: bytes.Clone(raw[min(revSize, len(raw)):])}
}

// revision reads the revision in front of a stored value; 0 for no value.
func revision(raw []byte) int64 {
	if len(raw) < revSize {
		return 0
	}
	return int64(binary.BigEndian.Uint64(raw))
}

// encodeRevision gives the eight bytes of a revision, followed by value.
func encodeRevision(rev int64, value []byte) []byte {
	out := make([]byte, revSize, revSize+len(value))
	binary.BigEndian.PutUint64(out, uint64(rev))
	return append(out, value...)
}
