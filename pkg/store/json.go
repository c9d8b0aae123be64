package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// GetJSON reads the value at key into a T and gives its revision. A key without a value is an error that matches
// ErrNotFound; the revision is then 0, as Compare wants it for "does not exist".
func GetJSON[T any](ctx context.Context, s Store, key string) (T, int64, error) {
	var v T
	kv, err := s.Get(ctx, key)
	if err != nil {
		return v, 0, err
	}
	if err := json.Unmarshal(kv.Value, &v); err != nil {
		return v, 0, fmt.Errorf("read %s: %w", key, err)
	}
	return v, kv.Rev, nil
}

// Item is one key with its value decoded.
type Item[T any] struct {
	Key   string
	Value T
	Rev   int64
}

// ListJSON reads every value below prefix, sorted by key.
func ListJSON[T any](ctx context.Context, s Store, prefix string) ([]Item[T], error) {
	kvs, err := s.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	out := make([]Item[T], len(kvs))
	for i, kv := range kvs {
		out[i] = Item[T]{Key: kv.Key, Rev: kv.Rev}
		if err := json.Unmarshal(kv.Value, &out[i].Value); err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
	}
	return out, nil
}

// PutJSON makes an Op that writes v at key.
func PutJSON(key string, v any) (Op, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return Op{}, fmt.Errorf("write %s: %w", key, err)
	}
	return Put(key, b), nil
}

// UpdateJSON changes the value at key by change, which gets the zero T where there is none, and writes it only if
// nobody else wrote it meanwhile; else it reads and changes again, until ctx is done. Change may run more than once
// and must do nothing else. It gives what was written.
func UpdateJSON[T any](ctx context.Context, s Store, key string, change func(T) (T, error)) (T, error) {
	for {
		old, rev, err := GetJSON[T](ctx, s, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return old, err
		}
		v, err := change(old)
		if err != nil {
			return old, fmt.Errorf("update %s: %w", key, err)
		}
		op, err := PutJSON(key, v)
		if err != nil {
			return old, err
		}
		ok, err := s.Txn(ctx, []Compare{{Key: key, Rev: rev}}, op)
		if err != nil {
			return old, fmt.Errorf("update %s: %w", key, err)
		}
		if ok {
			return v, nil
		}
	}
}
