package store

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// sealEntries takes a file from schema 1, whose entries were the revision (8 bytes) and the value, to schema 2, in which
// every entry has a digest and the state has a seal. Revisions stay.
func sealEntries(kv, meta *bbolt.Bucket) error {
	var all []KV
	err := kv.ForEach(func(k, raw []byte) error {
		one, err := decodeUnsealed(k, raw)
		all = append(all, one)
		return err
	})
	if err != nil {
		return err
	}
	l := &ledger{kv: kv, meta: meta, rev: number(meta.Get([]byte(metaRev)))}
	for _, one := range all {
		raw := encodeEntry([]byte(one.Key), one.Rev, one.Value)
		if err := kv.Put([]byte(one.Key), raw); err != nil {
			return err
		}
		l.sum ^= entryDigest(raw)
	}
	return l.save()
}

// decodeUnsealed reads an entry of schema 1.
func decodeUnsealed(key, raw []byte) (KV, error) {
	if len(raw) < revSize {
		return KV{}, fmt.Errorf("%w: key %q: %w", ErrCorrupt, key, errShort)
	}
	return KV{Key: string(key), Rev: number(raw), Value: bytes.Clone(raw[revSize:])}, nil
}
