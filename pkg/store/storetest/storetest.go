// Package storetest is the conformance suite that every engine of package store passes.
//
// An engine's test calls Run with a function that opens an empty store; each test gets one of its own and the
// suite closes it.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/store"
)

// patience bounds every wait of the suite; it passes only when something is broken. It leaves the test half of its time to
// say what.
func patience(t *testing.T) time.Duration {
	const most = 20 * time.Second
	if end, ok := t.Deadline(); ok {
		return min(most, time.Until(end)/2)
	}
	return most
}

// Run checks the engine that open makes.
func Run(t *testing.T, open func(*testing.T) store.Store) {
	t.Helper()
	tests := map[string]func(*testing.T, store.Store){
		"get and put":                 testGetPut,
		"list by prefix, sorted":      testList,
		"compare":                     testCompare,
		"revisions":                   testRevisions,
		"all or nothing":              testAtomic,
		"deletes":                     testDelete,
		"refused transactions":        testRefused,
		"bytes are copies":            testCopies,
		"watch in order":              testWatch,
		"watch ends with its context": testWatchEnds,
		"watch drops who lags":        testWatchLags,
		"watch in order of writers":   testWatchRace,
		"watch again after a drop":    testAgainAfterDrop,
		"transfers keep the sum":      testTransfer,
		"large values":                testLarge,
		"close under use":             testCloseRace,
		"one of many wins a compare":  testRace,
		"concurrent counters":         testCounters,
		"ended context":               testContext,
		"closed":                      testClosed,
		"typed values":                testJSON,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test(t, s)
		})
	}
}

// put writes one key without conditions.
func put(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	txn(t, s, true, nil, store.Put(key, []byte(value)))
}

// txn runs a transaction and demands its outcome.
func txn(t *testing.T, s store.Store, want bool, when []store.Compare, then ...store.Op) {
	t.Helper()
	got, err := s.Txn(t.Context(), when, then...)
	if err != nil {
		t.Fatalf("transaction: %v", err)
	}
	if got != want {
		t.Fatalf("transaction held: %v, want %v", got, want)
	}
}

func get(t *testing.T, s store.Store, key string) store.KV {
	t.Helper()
	kv, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return kv
}

func wantAbsent(t *testing.T, s store.Store, key string) {
	t.Helper()
	if kv, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get %s gave %q and %v, want ErrNotFound", key, kv.Value, err)
	}
}

// list gives the keys and values below prefix.
func list(t *testing.T, s store.Store, prefix string) [][2]string {
	t.Helper()
	kvs, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	var out [][2]string
	for _, kv := range kvs {
		if one := get(t, s, kv.Key); one.Rev != kv.Rev {
			t.Errorf("list says revision %d for %s, get says %d", kv.Rev, kv.Key, one.Rev)
		}
		out = append(out, [2]string{kv.Key, string(kv.Value)})
	}
	return out
}

// next reads one change.
func next(t *testing.T, ch <-chan store.Change) store.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience(t))
	defer cancel()
	select {
	case c, ok := <-ch:
		if !ok {
			t.Fatal("the watch ended early")
		}
		return c
	case <-ctx.Done():
		t.Fatal("no change came")
	}
	return store.Change{}
}

// drained waits for the end of a watch and counts what came before it.
func drained(t *testing.T, ch <-chan store.Change) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience(t))
	defer cancel()
	for n := 0; ; n++ {
		select {
		case _, ok := <-ch:
			if !ok {
				return n
			}
		case <-ctx.Done():
			t.Fatal("the watch did not end")
		}
	}
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
