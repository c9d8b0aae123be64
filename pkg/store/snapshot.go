package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"github.com/racker-project/racker/pkg/version"
)

// Snapshot is a whole state at one moment, without its revisions. It holds secrets: the key of racker's CA, boot tokens.
type Snapshot struct {
	// Schema is the schema of the keys and values, from 1.
	Schema int
	// Racker is the version of the racker that wrote the state; empty when it is not known.
	Racker string
	// KVs are sorted by key. Their Rev is not used.
	KVs []KV
}

// Take reads the state of an open store, of any engine.
func Take(ctx context.Context, s Store) (*Snapshot, error) {
	kvs, err := s.List(ctx, "")
	if err != nil {
		return nil, err
	}
	return &Snapshot{Schema: Schema(), Racker: version.Get().Version, KVs: kvs}, nil
}

// TakeFile reads the embedded engine's file while no racker holds it. The file is not changed, nor migrated, and need not
// be writable. Errors match fs.ErrNotExist (also for an empty file), ErrLocked, ErrCorrupt or ErrSchema and name the file.
func TakeFile(path string, opt Options) (*Snapshot, error) {
	s, err := takeFile(path, opt.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	return s, nil
}

func takeFile(path string, opt Options) (s *Snapshot, err error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	b, err := openBolt(path, opt, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	err = b.view(func(tx *bbolt.Tx) (err error) {
		s, err = read(tx)
		return err
	})
	return s, err
}

// read gives what is in a file of any schema that this racker knows.
func read(tx *bbolt.Tx) (*Snapshot, error) {
	schema, err := inspect(tx, Schema())
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Schema: schema, Racker: string(tx.Bucket([]byte(bucketMeta)).Get([]byte(metaWriter)))}
	unpack := decode
	if schema == 1 {
		unpack = decodeUnsealed
	}
	err = tx.Bucket([]byte(bucketKV)).ForEach(func(k, raw []byte) error {
		kv, err := unpack(k, raw)
		s.KVs = append(s.KVs, kv)
		return err
	})
	return s, err
}
