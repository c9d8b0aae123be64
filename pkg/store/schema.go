package store

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/racker-project/racker/pkg/version"
)

// ErrSchema is matched by Open for a state that a newer racker wrote. Its text has both versions.
var ErrSchema = errors.New("state was written by a newer racker")

// A Migration takes the state one schema forward: it gets every key and gives the writes.
type Migration func(all []KV) ([]Op, error)

// step is one migration. Each runs in a transaction of its own, together with the new schema number, so that a crash
// between two of them leaves a whole state of the schema between.
type step struct {
	// layout changes how entries are kept, content what is in them; a step has one of them.
	layout  func(kv, meta *bbolt.Bucket) error
	content Migration
}

// steps is the table of migrations: steps()[i] takes a state from schema i+1 to i+2. Entries are only ever added.
func steps() []step {
	return []step{
		{layout: sealEntries},
	}
}

// Schema is the schema of the states that this racker writes; it reads all before.
func Schema() int { return len(steps()) + 1 }

// prepare makes the buckets of a new file, or checks those of an old one, and gives its schema. Write says whether
// anything changed.
func prepare(tx *bbolt.Tx, newest int) (schema int, write bool, err error) {
	if k, _ := tx.Cursor().First(); k == nil {
		return newest, true, create(tx, newest)
	}
	schema, err = inspect(tx, newest)
	if err != nil || schema < newest || string(tx.Bucket([]byte(bucketMeta)).Get([]byte(metaWriter))) == version.Get().Version {
		return schema, false, err
	}
	l, err := openLedger(tx)
	if err != nil {
		return schema, false, err
	}
	return schema, true, sign(l)
}

// inspect checks a file that has buckets, and gives its schema.
func inspect(tx *bbolt.Tx, newest int) (schema int, err error) {
	kv, meta := tx.Bucket([]byte(bucketKV)), tx.Bucket([]byte(bucketMeta))
	if kv == nil || meta == nil || meta.Get([]byte(metaSchema)) == nil {
		return 0, fmt.Errorf("%w: it is no state of racker", ErrCorrupt)
	}
	have := number(meta.Get([]byte(metaSchema)))
	if have == 1 && meta.Get([]byte(metaSeal)) == nil {
		return 1, nil
	}
	l, err := openLedger(tx) // first: a schema that is damaged must not pass for a newer racker's
	switch {
	case err != nil:
		return 0, err
	case have > int64(newest):
		return 0, newerSchema(have, string(meta.Get([]byte(metaWriter))), newest)
	case have < 2:
		return 0, fmt.Errorf("%w: it has schema %d", ErrCorrupt, have)
	}
	return int(have), l.check()
}

// newerSchema is the error for a state of schema have by the racker of version writer.
func newerSchema(have int64, writer string, newest int) error {
	if writer == "" {
		writer = "of an unknown version"
	}
	return fmt.Errorf("%w: it has schema %d, by racker %s; this is racker %s, which knows schemas up to %d",
		ErrSchema, have, writer, version.Get().Version, newest)
}

// create makes the buckets of an empty state.
func create(tx *bbolt.Tx, schema int) error {
	kv, err := tx.CreateBucket([]byte(bucketKV))
	if err != nil {
		return err
	}
	meta, err := tx.CreateBucket([]byte(bucketMeta))
	if err != nil {
		return err
	}
	if err := meta.Put([]byte(metaSchema), encodeNumber(int64(schema))); err != nil {
		return err
	}
	return sign(&ledger{kv: kv, meta: meta})
}

// sign notes which racker writes the file from now on, and seals it.
func sign(l *ledger) error {
	if err := l.meta.Put([]byte(metaWriter), []byte(version.Get().Version)); err != nil {
		return err
	}
	return l.save()
}
