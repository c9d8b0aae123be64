package store

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

// request is one transaction that waits in the queue. Its results are guarded by the engine's commit lock.
type request struct {
	when []Compare
	then []Op

	finished bool
	ok       bool
	err      error
	changes  []Change
}

// Txn implements Store. Once it began to write it does not stop for ctx: a transaction is never half known.
func (b *bolt) Txn(ctx context.Context, when []Compare, then ...Op) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("transaction: %w", err)
	}
	if err := validate(then); err != nil {
		return false, fmt.Errorf("transaction: %w", err)
	}
	req := &request{when: when, then: then}
	if err := b.enqueue(req); err != nil {
		return false, fmt.Errorf("transaction: %w", err)
	}
	b.commit.Lock()
	defer b.commit.Unlock()
	if !req.finished { // else an earlier holder of the lock wrote it along
		b.write(b.take())
	}
	if req.err != nil {
		return false, fmt.Errorf("transaction: %w", closedError(req.err))
	}
	return req.ok, nil
}

// validate refuses what no engine takes.
func validate(ops []Op) error {
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		switch {
		case op.Key == "":
			return fmt.Errorf("%w: it is empty", ErrKey)
		case len(op.Key) > MaxKey:
			return fmt.Errorf("%w: it has %d bytes, of %d at most", ErrKey, len(op.Key), MaxKey)
		case seen[op.Key]:
			return fmt.Errorf("%w: %s is written twice", ErrKey, op.Key)
		case len(op.Value) >= MaxValue:
			return fmt.Errorf("%s: %w: %d bytes", op.Key, ErrTooLarge, len(op.Value))
		}
		seen[op.Key] = true
	}
	return nil
}

func (b *bolt) enqueue(req *request) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	b.queue = append(b.queue, req)
	return nil
}

func (b *bolt) take() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.queue
	b.queue = nil
	return batch
}

// write commits a batch in one bbolt transaction and tells the watchers; the commit lock is held.
func (b *bolt) write(batch []*request) {
	err := b.commitBatch(batch)
	for _, req := range batch {
		req.finished = true
		if err != nil {
			req.ok, req.err = false, err
			continue
		}
		b.watches.publish(req.changes)
	}
}

func (b *bolt) commitBatch(batch []*request) (err error) {
	tx, err := b.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // an error after Commit, by design
	meta := tx.Bucket([]byte(bucketMeta))
	before := revision(meta.Get([]byte(metaRev)))
	rev := before
	for _, req := range batch {
		if rev, err = req.apply(tx.Bucket([]byte(bucketKV)), rev); err != nil {
			return err
		}
	}
	if rev == before {
		return nil // nothing to write: no fsync
	}
	if err := meta.Put([]byte(metaRev), encodeRevision(rev, nil)); err != nil {
		return err
	}
	return tx.Commit()
}

// apply writes the request if its compares hold and gives the new revision of the store.
func (r *request) apply(kv *bbolt.Bucket, rev int64) (int64, error) {
	for _, c := range r.when {
		if revision(kv.Get([]byte(c.Key))) != c.Rev {
			return rev, nil
		}
	}
	r.ok = true
	next := rev + 1
	for _, op := range r.then {
		key := []byte(op.Key)
		change := Change{KV: KV{Key: op.Key, Rev: next}, Deleted: op.Delete}
		var err error
		if op.Delete {
			if kv.Get(key) == nil {
				continue
			}
			err = kv.Delete(key)
		} else {
			change.Value = append([]byte{}, op.Value...)
			err = kv.Put(key, encodeRevision(next, op.Value))
		}
		if err != nil {
			return rev, fmt.Errorf("%s: %w", op.Key, err)
		}
		r.changes = append(r.changes, change)
	}
	if len(r.changes) == 0 {
		return rev, nil
	}
	return next, nil
}
