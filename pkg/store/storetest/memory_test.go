package storetest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/racker-project/racker/pkg/store"
)

// memory is a second engine, in RAM: the suite holds for it too, and so is about the interface and not about bbolt. With a
// fault it breaks one promise, which the suite must notice.
type memory struct {
	fault string

	mu     sync.Mutex
	rev    int64
	keys   map[string]store.KV
	list   []*watcher
	closed bool
}

type watcher struct {
	prefix string
	ch     chan store.Change
	ended  bool
}

func newMemory(fault string) *memory { return &memory{fault: fault, keys: map[string]store.KV{}} }

// Get implements store.Store.
func (m *memory) Get(ctx context.Context, key string) (store.KV, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return store.KV{}, err
	}
	kv, ok := m.keys[key]
	if !ok && m.fault != "an absent key is empty" {
		return store.KV{}, fmt.Errorf("get %s: %w", key, store.ErrNotFound)
	}
	return m.copy(kv), nil
}

func (m *memory) usable(ctx context.Context) error {
	if m.closed && m.fault != "works after close" {
		return store.ErrClosed
	}
	if m.fault == "ignores contexts" {
		return nil
	}
	return ctx.Err()
}

func (m *memory) copy(kv store.KV) store.KV {
	if m.fault != "lends its bytes" {
		kv.Value = append([]byte{}, kv.Value...)
	}
	return kv
}

// List implements store.Store.
func (m *memory) List(ctx context.Context, prefix string) ([]store.KV, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	var out []store.KV
	for k, kv := range m.keys {
		if strings.HasPrefix(k, prefix) {
			out = append(out, m.copy(kv))
		}
	}
	if m.fault == "lists by revision" {
		slices.SortFunc(out, func(a, b store.KV) int { return int(a.Rev - b.Rev) })
		return out, nil
	}
	slices.SortFunc(out, func(a, b store.KV) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// Watch implements store.Store.
func (m *memory) Watch(ctx context.Context, prefix string) (<-chan store.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	w := &watcher{prefix: prefix, ch: make(chan store.Change, 1000)}
	m.list = append(m.list, w)
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.fault != "watches for ever" {
			w.end()
		}
	})
	return w.ch, nil
}

func (w *watcher) end() {
	if !w.ended {
		w.ended = true
		close(w.ch)
	}
}

// Txn implements store.Store.
func (m *memory) Txn(ctx context.Context, when []store.Compare, then ...store.Op) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return false, err
	}
	if err := m.valid(then); err != nil {
		return false, err
	}
	for _, c := range when {
		if m.keys[c.Key].Rev != c.Rev && m.fault != "compares nothing" {
			return false, nil
		}
	}
	var changes []store.Change
	for _, op := range then {
		if _, there := m.keys[op.Key]; op.Delete && !there {
			continue
		}
		c := store.Change{KV: store.KV{Key: op.Key, Rev: m.rev + 1}, Deleted: op.Delete}
		delete(m.keys, op.Key)
		if !op.Delete {
			c.Value = m.copy(store.KV{Value: op.Value}).Value
			m.keys[op.Key] = c.KV
		}
		if changes = append(changes, c); m.fault == "a revision per op" {
			m.rev++
		}
	}
	if len(changes) > 0 {
		m.rev++
	}
	m.publish(changes)
	return true, nil
}

func (m *memory) valid(ops []store.Op) error {
	seen := map[string]bool{}
	for _, op := range ops {
		switch {
		case len(op.Value) >= store.MaxValue:
			if m.fault == "writes half" {
				m.rev++
				m.keys[ops[0].Key] = store.KV{Key: ops[0].Key, Rev: m.rev}
			}
			return store.ErrTooLarge
		case op.Key == "", len(op.Key) > store.MaxKey, seen[op.Key] && m.fault != "takes a key twice":
			return store.ErrKey
		}
		seen[op.Key] = true
	}
	return nil
}

func (m *memory) publish(changes []store.Change) {
	if m.fault == "reports backwards" {
		slices.Reverse(changes)
	}
	for _, w := range m.list {
		for _, c := range changes {
			if w.ended || !strings.HasPrefix(c.Key, w.prefix) || c.Deleted && m.fault == "keeps deletes quiet" {
				continue
			}
			c.KV = m.copy(c.KV)
			select {
			case w.ch <- c:
			default:
				if m.fault != "loses changes of who lags" {
					w.end()
				}
			}
		}
	}
}

// Close implements store.Store.
func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, w := range m.list {
		if m.fault != "closes over watchers" {
			w.end()
		}
	}
	return nil
}
