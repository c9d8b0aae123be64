// Package store keeps racker's state behind one small key-value interface, after etcd's: get, list, watch,
// and a transaction that is a list of compares and a list of puts and deletes.
//
// Open gives the embedded engine (bbolt). Nothing above this package may depend on which engine is below.
// All methods may be called concurrently. Values stay under 1 MiB.
package store

import (
	"context"
	"errors"
)

var (
	// ErrNotFound is matched when a key has no value.
	ErrNotFound = errors.New("no such key")
	// ErrLocked is matched by Open when another process holds the state file.
	ErrLocked = errors.New("state is held by another racker")
	// ErrTooLarge is matched by Txn for a value of 1 MiB or more.
	ErrTooLarge = errors.New("value too large")
	// ErrClosed is matched after Close.
	ErrClosed = errors.New("store is closed")
)

// KV is one key with its value. Rev grows with each change of any key; it is the revision that last wrote this one.
type KV struct {
	Key   string
	Value []byte
	Rev   int64
}

// Change is what Watch reports; Deleted has an empty Value.
type Change struct {
	KV
	Deleted bool
}

// Compare is one condition of a transaction: the key's Rev equals Rev; Rev 0 means that the key does not exist.
type Compare struct {
	Key string
	Rev int64
}

// Op is one write of a transaction: a put, or a delete when Delete is set.
type Op struct {
	Key    string
	Value  []byte
	Delete bool
}

// Put makes an Op that writes value at key.
func Put(key string, value []byte) Op { return Op{Key: key, Value: value} }

// Delete makes an Op that removes key; removing what is not there is no error.
func Delete(key string) Op { return Op{Key: key, Delete: true} }

// Store is the interface of every engine.
type Store interface {
	// Get gives one key, or an error that matches ErrNotFound.
	Get(ctx context.Context, key string) (KV, error)
	// List gives all keys that begin with prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]KV, error)
	// Watch reports every change below prefix from now on, in order, until ctx is done; the channel is then closed.
	// A watcher that does not read is dropped: its channel is closed early and it lists again.
	Watch(ctx context.Context, prefix string) (<-chan Change, error)
	// Txn writes all ops if every compare holds, durably, and reports whether it did. No compares always hold.
	Txn(ctx context.Context, when []Compare, then ...Op) (bool, error)
	// Close releases the engine; it waits for transactions under way.
	Close() error
}
