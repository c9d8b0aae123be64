package store

import (
	"context"
	"errors"
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
		return false, fmt.Errorf("transaction: %w", req.err)
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

// write commits a batch in one bbolt transaction and tells the watchers; the commit lock is held. When the batch cannot
// be written, each request is tried alone: one that needs more room than there is must not take the others down.
func (b *bolt) write(batch []*request) {
	err := b.commitBatch(batch)
	if err != nil && len(batch) > 1 && b.broken == nil {
		for _, req := range batch {
			b.write([]*request{req})
		}
		return
	}
	for _, req := range batch {
		req.finished = true
		if err != nil {
			req.ok, req.err = false, err
			continue
		}
		b.watches.publish(req.changes)
	}
}

// errNothing ends a transaction that changed nothing, without an fsync.
var errNothing = errors.New("nothing to write")

func (b *bolt) commitBatch(batch []*request) error {
	err := b.update(func(tx *bbolt.Tx) error {
		l, err := openLedger(tx)
		if err != nil {
			return err
		}
		before := l.rev
		for _, req := range batch {
			if err := req.apply(l); err != nil {
				return err
			}
		}
		if l.rev == before {
			return errNothing
		}
		return l.save()
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// apply writes the request, with a revision of its own, if its compares hold.
func (r *request) apply(l *ledger) error {
	r.ok, r.changes = false, nil // it may be tried again
	for _, c := range r.when {
		if number(l.kv.Get([]byte(c.Key))) != c.Rev {
			return nil
		}
	}
	next := l.rev + 1
	for _, op := range r.then {
		c := Change{KV: KV{Key: op.Key, Rev: next}, Deleted: op.Delete}
		var err error
		if op.Delete {
			if l.kv.Get([]byte(op.Key)) == nil {
				continue
			}
			err = l.remove(op.Key)
		} else {
			c.Value = append([]byte{}, op.Value...)
			err = l.put(op.Key, next, op.Value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", op.Key, err)
		}
		r.changes = append(r.changes, c)
	}
	r.ok = true
	if len(r.changes) > 0 {
		l.rev = next
	}
	return nil
}
