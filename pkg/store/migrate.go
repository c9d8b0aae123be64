package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// bring takes the open file to the newest schema of the table. The file as it was is kept beside it, for the racker that
// wrote it.
func (b *bolt) bring(table []step) error {
	b.commit.Lock()
	defer b.commit.Unlock()
	newest, have := len(table)+1, 0
	err := b.update(func(tx *bbolt.Tx) (err error) {
		var write bool
		if have, write, err = prepare(tx, newest); err == nil && !write {
			err = errNothing
		}
		return err
	})
	if err != nil && !errors.Is(err, errNothing) {
		return err
	}
	if have == newest {
		return nil
	}
	kept := fmt.Sprintf("%s.schema%d", b.path, have)
	if err := b.copy(kept); err != nil {
		return fmt.Errorf("keep the state of schema %d: %w", have, err)
	}
	b.log.Info("the state is taken to a newer schema; the file as it was is kept", "file", kept)
	for ; have < newest; have++ {
		err := b.update(func(tx *bbolt.Tx) error { return migrate(tx, have, table[have-1]) })
		if err != nil {
			return fmt.Errorf("migrate from schema %d: %w", have, err)
		}
	}
	return nil
}

// copy writes the state to another file, whole or not at all.
func (b *bolt) copy(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*") // mode 0600
	if err != nil {
		return explain(err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already where all went well
	err = b.view(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(f)
		return err
	})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return explain(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes what was created or renamed in a folder survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// migrate does one step, from schema have, in the transaction tx.
func migrate(tx *bbolt.Tx, have int, s step) error {
	kv, meta := tx.Bucket([]byte(bucketKV)), tx.Bucket([]byte(bucketMeta))
	if s.layout != nil {
		if err := s.layout(kv, meta); err != nil {
			return err
		}
	}
	l, err := openLedger(tx)
	if err != nil {
		return err
	}
	if s.content != nil {
		if err := change(l, s.content); err != nil {
			return err
		}
	}
	if err := meta.Put([]byte(metaSchema), encodeNumber(int64(have)+1)); err != nil {
		return err
	}
	return sign(l)
}

// change does what one transaction of the store would.
func change(l *ledger, m Migration) error {
	var all []KV
	err := l.kv.ForEach(func(k, raw []byte) error {
		kv, err := decode(k, raw)
		all = append(all, kv)
		return err
	})
	if err != nil {
		return err
	}
	ops, err := m(all)
	if err != nil {
		return err
	}
	if err := validate(ops); err != nil {
		return err
	}
	req := request{then: ops}
	return req.apply(l)
}
