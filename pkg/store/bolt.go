package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
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
	// ErrNoSpace is matched by Txn, and by Open, when the disk or quota is full. The state is as it was before, and
	// transactions work again when there is room.
	ErrNoSpace = errors.New("no space left for the state")
	// ErrKey is matched by Txn for a key that is empty or longer than MaxKey, or that one transaction writes twice.
	ErrKey = errors.New("key cannot be used")
)

// Options of Open. The zero value is usable.
type Options struct {
	// LockTimeout is how long Open waits for another process to release the file; 0 means half a second.
	LockTimeout time.Duration
	// WatchBuffer is how many changes a watcher may lag behind before it is dropped; 0 means 1024.
	WatchBuffer int
	// Log is told of migrations and of damage that loses at most the last transaction; nil means nobody.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	o.LockTimeout = cmp.Or(o.LockTimeout, defaultLockTimeout)
	o.WatchBuffer = cmp.Or(o.WatchBuffer, defaultWatchBuffer)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// bolt is the embedded engine. Writers queue up; whoever gets the commit lock writes the whole queue in one
// bbolt transaction, so that many nodes changing at once cost one fsync.
type bolt struct {
	db      *bbolt.DB
	file    *os.File // of db
	path    string
	log     *slog.Logger
	watches watches

	commit sync.Mutex // held while a batch is written and published
	broken error      // why no transaction is taken any more; guarded by commit
	stuck  bool       // a panic left bbolt's locks held; guarded by commit
	mu     sync.Mutex // guards queue and closed
	queue  []*request
	closed bool
}

// Open opens the embedded engine's file, creating it (mode 0600) and its directory (mode 0700) where they are
// missing. A state of an older racker is migrated; the file as it was stays beside it as FILE.schemaN. Errors match
// ErrLocked, ErrCorrupt, ErrSchema or ErrNoSpace and name the file.
func Open(path string, opt Options) (Store, error) { return open(path, opt, steps()) }

func open(path string, opt Options, table []step) (*bolt, error) {
	opt = opt.withDefaults()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, explain(err))
	}
	b, err := openBolt(path, opt, false)
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, err)
	}
	if err := b.bring(table); err != nil {
		return nil, errors.Join(fmt.Errorf("open state %s: %w", path, err), b.Close())
	}
	return b, nil
}

// openBolt locks and verifies the file before bbolt maps it: a page that points outside the file would
// otherwise end the process with a fault that nothing can recover from.
func openBolt(path string, opt Options, readOnly bool) (*bolt, error) {
	b := &bolt{path: path, log: opt.Log, watches: watches{buffer: opt.WatchBuffer}}
	_, err := guard(func() (err error) {
		b.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:      opt.LockTimeout,
			FreelistType: bbolt.FreelistMapType,
			ReadOnly:     readOnly,
			OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
				b.file, err = openLocked(name, flag, mode, opt)
				return b.file, err
			},
		})
		return err
	})
	if err != nil {
		if b.file != nil {
			_ = b.file.Close() // closed already where bbolt saw the error itself
		}
		return nil, explain(err)
	}
	return b, nil
}

// Get implements Store.
func (b *bolt) Get(ctx context.Context, key string) (KV, error) {
	var kv KV
	err := b.read(ctx, func(bucket *bbolt.Bucket) (err error) {
		raw := bucket.Get([]byte(key))
		if raw == nil {
			return ErrNotFound
		}
		kv, err = decode([]byte(key), raw)
		return err
	})
	if err != nil {
		return KV{}, fmt.Errorf("get %s: %w", key, err)
	}
	return kv, nil
}

// List implements Store.
func (b *bolt) List(ctx context.Context, prefix string) ([]KV, error) {
	var out []KV
	err := b.read(ctx, func(bucket *bbolt.Bucket) error {
		c := bucket.Cursor()
		for k, raw := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, raw = c.Next() {
			kv, err := decode(k, raw)
			if err != nil {
				return err
			}
			out = append(out, kv)
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
	release := b.db.Close
	if b.stuck {
		release = b.file.Close // bbolt would wait for its own lock for ever
	}
	if err := release(); err != nil {
		return fmt.Errorf("close state %s: %w", b.path, err)
	}
	return nil
}

// read runs a read transaction over the key-value bucket.
func (b *bolt) read(ctx context.Context, get func(*bbolt.Bucket) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.view(func(tx *bbolt.Tx) error { return get(tx.Bucket([]byte(bucketKV))) })
}
