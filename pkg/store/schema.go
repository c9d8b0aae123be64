package store

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// ErrSchema is matched by Open for a state file that a newer racker wrote.
var ErrSchema = errors.New("state was written by a newer racker")

// Migration takes the state one schema forward: it gets every key and gives the writes. All migrations of one Open
// and the new schema number are written in one transaction, so that a crash leaves the old state whole.
type Migration func(all []KV) ([]Op, error)

// prepare makes the buckets of a new file and brings an old one to the schema of this program.
func prepare(tx *bbolt.Tx, migrations []Migration) error {
	kv, meta, err := buckets(tx)
	if err != nil {
		return err
	}
	want := int64(len(migrations)) + 1
	have := revision(meta.Get([]byte(metaSchema)))
	if have == 0 {
		have = want // a new file
	}
	if have < 0 || have > want {
		return fmt.Errorf("%w: schema %d, this one knows %d", ErrSchema, have, want)
	}
	for ; have < want; have++ {
		if err := migrate(kv, meta, migrations[have-1]); err != nil {
			return fmt.Errorf("migrate from schema %d: %w", have, err)
		}
	}
	return meta.Put([]byte(metaSchema), encodeRevision(want, nil))
}

// buckets gives both buckets; only a file without any is new.
func buckets(tx *bbolt.Tx) (kv, meta *bbolt.Bucket, err error) {
	if k, _ := tx.Cursor().First(); k == nil {
		if kv, err = tx.CreateBucket([]byte(bucketKV)); err != nil {
			return nil, nil, err
		}
		meta, err = tx.CreateBucket([]byte(bucketMeta))
		return kv, meta, err
	}
	kv, meta = tx.Bucket([]byte(bucketKV)), tx.Bucket([]byte(bucketMeta))
	if kv == nil || meta == nil || meta.Get([]byte(metaSchema)) == nil {
		return nil, nil, fmt.Errorf("%w: it is no state of racker", ErrCorrupt)
	}
	return kv, meta, nil
}

// migrate does one step as one transaction of the store would.
func migrate(kv, meta *bbolt.Bucket, step Migration) error {
	var all []KV
	err := kv.ForEach(func(k, raw []byte) error {
		all = append(all, decode(k, raw))
		return nil
	})
	if err != nil {
		return err
	}
	ops, err := step(all)
	if err != nil {
		return err
	}
	if err := validate(ops); err != nil {
		return err
	}
	req := request{then: ops}
	rev, err := req.apply(kv, revision(meta.Get([]byte(metaRev))))
	if err != nil {
		return err
	}
	return meta.Put([]byte(metaRev), encodeRevision(rev, nil))
}
