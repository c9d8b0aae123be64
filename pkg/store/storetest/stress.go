package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/store"
)

// testWatchRace has many writers; a watcher that applies every change in order ends with the same state as the store.
func testWatchRace(t *testing.T, s store.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), patience(t))
	defer cancel()
	ch, err := s.Watch(ctx, "k/")
	if err != nil {
		t.Fatal(err)
	}
	const writers, rounds, keys = 8, 40, 5
	group, _ := errgroup.WithContext(ctx)
	for w := range writers {
		group.Go(func() error {
			for i := range rounds {
				ops := []store.Op{store.Put(fmt.Sprintf("k/%d", (w+i)%keys), fmt.Appendf(nil, "%d.%d", w, i)), store.Put("other", nil)}
				if i%7 == 6 {
					ops[0] = store.Delete(ops[0].Key)
				}
				if _, err := s.Txn(ctx, nil, ops...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		_, err := s.Txn(ctx, nil, store.Put("k/first", nil))
		return err
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k/0", "deleted next")
	txn(t, s, true, nil, store.Delete("k/0"))
	put(t, s, "k/last", "")
	seen := map[string]string{}
	last := int64(0)
	for c := next(t, ch); c.Key != "k/last"; c = next(t, ch) {
		if c.Rev <= last {
			t.Fatalf("revision %d came after %d", c.Rev, last)
		}
		last = c.Rev
		if c.Deleted {
			delete(seen, c.Key)
			continue
		}
		seen[c.Key] = string(c.Value)
	}
	seen["k/last"] = ""
	stored := map[string]string{}
	for _, kv := range list(t, s, "k/") {
		stored[kv[0]] = kv[1]
	}
	equal(t, "what the watcher saw", stored, seen)
}

// testTransfer moves amounts between keys; the sum never changes, as readers of one list see it.
func testTransfer(t *testing.T, s store.Store) {
	const accounts, rounds = 6, 30
	var ops []store.Op
	for i := range accounts {
		ops = append(ops, store.Put(fmt.Sprintf("a/%d", i), []byte{100}))
	}
	txn(t, s, true, nil, ops...)
	done, finish := context.WithCancel(t.Context())
	var readers errgroup.Group
	readers.Go(func() error {
		for done.Err() == nil {
			kvs, err := s.List(t.Context(), "a/")
			if err != nil {
				return err
			}
			sum := 0
			for _, kv := range kvs {
				sum += int(kv.Value[0])
			}
			if sum != 100*accounts {
				return fmt.Errorf("a list has a sum of %d, want %d", sum, 100*accounts)
			}
		}
		return nil
	})
	var writers errgroup.Group
	for w := range 4 {
		writers.Go(func() error {
			for i := range rounds {
				if err := transfer(t.Context(), s, fmt.Sprintf("a/%d", (w+i)%accounts), fmt.Sprintf("a/%d", (w+i+1)%accounts)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := writers.Wait()
	finish()
	if err = errors.Join(err, readers.Wait()); err != nil {
		t.Fatal(err)
	}
}

// transfer moves one from a key to another, and tries again when somebody else was at either.
func transfer(ctx context.Context, s store.Store, from, to string) error {
	for {
		a, err := s.Get(ctx, from)
		if err != nil {
			return err
		}
		b, err := s.Get(ctx, to)
		if err != nil {
			return err
		}
		ok, err := s.Txn(ctx, []store.Compare{{Key: from, Rev: a.Rev}, {Key: to, Rev: b.Rev}},
			store.Put(from, []byte{a.Value[0] - 1}), store.Put(to, []byte{b.Value[0] + 1}))
		if err != nil || ok {
			return err
		}
	}
}

func testLarge(t *testing.T, s store.Store) {
	const n = 12
	value := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 1<<20-1-i) }
	for i := range n {
		txn(t, s, true, nil, store.Put(fmt.Sprintf("big/%02d", i), value(i)))
	}
	txn(t, s, true, nil, store.Delete("big/03"), store.Put("big/04", []byte("small now")))
	kvs, err := s.List(t.Context(), "big/")
	if err != nil || len(kvs) != n-1 {
		t.Fatalf("%d keys, %v", len(kvs), err)
	}
	for _, kv := range kvs {
		var i int
		if _, err := fmt.Sscanf(kv.Key, "big/%d", &i); err != nil {
			t.Fatal(err)
		}
		want := value(i)
		if i == 4 {
			want = []byte("small now")
		}
		if !bytes.Equal(kv.Value, want) {
			t.Errorf("%s came back with %d bytes, want %d", kv.Key, len(kv.Value), len(want))
		}
	}
	// As many ops as a rack of a few hundred nodes takes in one transaction.
	var ops []store.Op
	for i := range 1000 {
		ops = append(ops, store.Put(fmt.Sprintf("many/%04d", i), []byte("x")))
	}
	txn(t, s, true, nil, ops...)
	if got := list(t, s, "many/"); len(got) != len(ops) {
		t.Errorf("%d of %d keys", len(got), len(ops))
	}
}

// testAgainAfterDrop does what a watcher does that was dropped: it lists, and watches from then on.
func testAgainAfterDrop(t *testing.T, s store.Store) {
	slow, err := s.Watch(t.Context(), "k/")
	if err != nil {
		t.Fatal(err)
	}
	for range 40 { // far more than an engine may buffer
		var ops []store.Op
		for k := range 500 {
			ops = append(ops, store.Put(fmt.Sprintf("k/%d", k), nil))
		}
		txn(t, s, true, nil, ops...)
	}
	drained(t, slow)
	again, err := s.Watch(t.Context(), "k/")
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, "k/"); len(got) != 500 {
		t.Errorf("%d keys", len(got))
	}
	put(t, s, "k/new", "1")
	equal(t, "the first change after it", "k/new", next(t, again).Key)
}

// testCloseRace closes the store under its users: each call is done, or fails with ErrClosed.
func testCloseRace(t *testing.T, s store.Store) {
	var group errgroup.Group
	begun := make(chan struct{}, 8)
	for w := range 8 {
		group.Go(func() error {
			for i := 0; ; i++ {
				_, errTxn := s.Txn(t.Context(), nil, store.Put(fmt.Sprintf("k/%d", w), fmt.Append(nil, i)))
				_, errList := s.List(t.Context(), "k/")
				ctx, stop := context.WithCancel(t.Context())
				_, errWatch := s.Watch(ctx, "")
				stop()
				if i == 0 {
					begun <- struct{}{}
				}
				if err := errors.Join(errTxn, errList, errWatch); err != nil {
					return err
				}
			}
		})
	}
	for range cap(begun) {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := group.Wait(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a call after Close gave %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
