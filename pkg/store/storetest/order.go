package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/store"
)

func testWatch(t *testing.T, s store.Store) {
	put(t, s, "node/before", "not seen")
	ch, err := s.Watch(t.Context(), "node/")
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "node/a", "1")
	put(t, s, "run/a", "elsewhere")
	txn(t, s, true, nil, store.Put("node/a", []byte("2")), store.Put("node/b", []byte("3")))
	txn(t, s, false, []store.Compare{{Key: "node/a"}}, store.Put("node/a", []byte("refused")))
	txn(t, s, true, nil, store.Delete("node/a"), store.Delete("node/none"))
	put(t, s, "node/b", "4")

	type seen struct {
		Key, Value string
		Deleted    bool
	}
	want := []seen{{"node/a", "1", false}, {"node/a", "2", false}, {"node/b", "3", false}, {"node/a", "", true}, {"node/b", "4", false}}
	var got []seen
	last := int64(0)
	for range want {
		c := next(t, ch)
		if c.Rev < last {
			t.Errorf("revision %d came after %d", c.Rev, last)
		}
		last = c.Rev
		got = append(got, seen{c.Key, string(c.Value), c.Deleted})
	}
	equal(t, "changes", want, got)
	equal(t, "revision of the last change", get(t, s, "node/b").Rev, last)
}

func testWatchEnds(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	drained(t, ch)
	put(t, s, "a", "1")
	equal(t, "the other watcher", "a", next(t, other).Key)
}

func testWatchLags(t *testing.T, s store.Store) {
	slow, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	quick, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	const batch, rounds = 100, 200 // far more than an engine may buffer
	for i := range rounds {
		var ops []store.Op
		for k := range batch {
			ops = append(ops, store.Put(fmt.Sprintf("k/%d", k), []byte{byte(i)}))
		}
		txn(t, s, true, nil, ops...)
		for range batch {
			next(t, quick)
		}
	}
	if n := drained(t, slow); n >= batch*rounds {
		t.Errorf("a watcher that did not read got all %d changes", n)
	}
}

func testRace(t *testing.T, s store.Store) {
	const writers = 16
	var won atomic.Int32
	group, ctx := errgroup.WithContext(t.Context())
	for i := range writers {
		group.Go(func() error {
			ok, err := s.Txn(ctx, []store.Compare{{Key: "leader"}}, store.Put("leader", []byte{byte(i)}))
			if ok {
				won.Add(1)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	equal(t, "winners", int32(1), won.Load())
}

func testCounters(t *testing.T, s store.Store) {
	const writers, rounds = 8, 20
	stop := errors.New("stop")
	group, ctx := errgroup.WithContext(t.Context())
	for range writers {
		group.Go(func() error {
			for range rounds {
				if _, err := store.UpdateJSON(ctx, s, "count", func(n int) (int, error) { return n + 1, nil }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	n, _, err := store.GetJSON[int](t.Context(), s, "count")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "count", writers*rounds, n)
	if _, err := store.UpdateJSON(t.Context(), s, "count", func(n int) (int, error) { return 0, stop }); !errors.Is(err, stop) {
		t.Errorf("a change that gave up gave %v", err)
	}
	n, _, _ = store.GetJSON[int](t.Context(), s, "count")
	equal(t, "count after a change that gave up", writers*rounds, n)
}
