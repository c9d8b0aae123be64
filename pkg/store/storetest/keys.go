package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/store"
)

func testGetPut(t *testing.T, s store.Store) {
	wantAbsent(t, s, "node/a")
	put(t, s, "node/a", "1")
	put(t, s, "node/empty", "")
	put(t, s, "node/\x00\xff", "binary key")
	equal(t, "value", "1", string(get(t, s, "node/a").Value))
	equal(t, "empty value", "", string(get(t, s, "node/empty").Value))
	equal(t, "binary key", "binary key", string(get(t, s, "node/\x00\xff").Value))
	put(t, s, "node/a", "2")
	equal(t, "value written again", "2", string(get(t, s, "node/a").Value))
	wantAbsent(t, s, "node/")
	wantAbsent(t, s, "node/ab")
}

func testList(t *testing.T, s store.Store) {
	equal(t, "empty store", [][2]string(nil), list(t, s, ""))
	for _, k := range []string{"run/2", "node/b", "node/a", "nodes", "node", "node/a/x", "run/10"} {
		put(t, s, k, "v "+k)
	}
	v := func(keys ...string) (out [][2]string) {
		for _, k := range keys {
			out = append(out, [2]string{k, "v " + k})
		}
		return out
	}
	equal(t, "node/", v("node/a", "node/a/x", "node/b"), list(t, s, "node/"))
	equal(t, "node", v("node", "node/a", "node/a/x", "node/b", "nodes"), list(t, s, "node"))
	equal(t, "run/", v("run/10", "run/2"), list(t, s, "run/"))
	equal(t, "none", v(), list(t, s, "lease/"))
	if all := list(t, s, ""); len(all) != 7 {
		t.Errorf("the whole store has %d keys, want 7", len(all))
	}
}

func testCompare(t *testing.T, s store.Store) {
	absent := []store.Compare{{Key: "a"}}
	txn(t, s, true, absent)
	txn(t, s, true, absent, store.Put("a", []byte("1")))
	txn(t, s, false, absent, store.Put("a", []byte("2")))
	txn(t, s, false, absent)
	rev := get(t, s, "a").Rev
	txn(t, s, false, []store.Compare{{Key: "a", Rev: rev + 1}}, store.Put("a", []byte("3")))
	txn(t, s, false, []store.Compare{{Key: "a", Rev: rev}, {Key: "b", Rev: 1}}, store.Put("a", []byte("4")))
	equal(t, "value after refused writes", "1", string(get(t, s, "a").Value))
	txn(t, s, true, []store.Compare{{Key: "a", Rev: rev}, {Key: "b"}}, store.Put("a", []byte("5")), store.Put("b", nil))
	equal(t, "value", "5", string(get(t, s, "a").Value))
	txn(t, s, true, nil)
	txn(t, s, true, nil, store.Delete("a"))
	txn(t, s, true, absent, store.Put("a", []byte("again")))
}

func testRevisions(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	first := get(t, s, "a").Rev
	if first <= 0 {
		t.Fatalf("the first revision is %d, want more than 0", first)
	}
	txn(t, s, true, nil, store.Put("b", nil), store.Put("c", nil))
	b, c := get(t, s, "b").Rev, get(t, s, "c").Rev
	if b != c || b <= first {
		t.Errorf("one transaction wrote revisions %d and %d after %d, want one that is higher", b, c, first)
	}
	equal(t, "revision of an untouched key", first, get(t, s, "a").Rev)
	put(t, s, "a", "1")
	if again := get(t, s, "a").Rev; again <= b {
		t.Errorf("writing the same value gave revision %d after %d", again, b)
	}
}

func testAtomic(t *testing.T, s store.Store) {
	big := bytes.Repeat([]byte("x"), 1<<20-1)
	txn(t, s, true, nil, store.Put("big", big))
	if got := get(t, s, "big").Value; !bytes.Equal(got, big) {
		t.Errorf("a value of %d bytes came back with %d", len(big), len(got))
	}
	_, err := s.Txn(t.Context(), nil, store.Put("small", nil), store.Put("huge", append(big, 'x')))
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("1 MiB gave %v, want ErrTooLarge", err)
	}
	wantAbsent(t, s, "small")
	wantAbsent(t, s, "huge")
}

func testDelete(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	rev := get(t, s, "a").Rev
	txn(t, s, true, nil, store.Delete("nothing"))
	txn(t, s, false, []store.Compare{{Key: "a", Rev: rev + 1}}, store.Delete("a"))
	get(t, s, "a")
	txn(t, s, true, []store.Compare{{Key: "a", Rev: rev}}, store.Delete("a"), store.Put("b", []byte("2")))
	wantAbsent(t, s, "a")
	equal(t, "rest", [][2]string{{"b", "2"}}, list(t, s, ""))
}

func testRefused(t *testing.T, s store.Store) {
	tests := map[string][]store.Op{
		"empty key":         {store.Put("ok", nil), store.Put("", nil)},
		"empty deleted key": {store.Delete("")},
		"long key":          {store.Put("ok", nil), store.Put(strings.Repeat("k", store.MaxKey+1), nil)},
		"a key twice":       {store.Put("ok", []byte("1")), store.Delete("ok")},
	}
	for name, ops := range tests {
		if _, err := s.Txn(t.Context(), nil, ops...); !errors.Is(err, store.ErrKey) {
			t.Errorf("%s gave %v, want ErrKey", name, err)
		}
	}
	wantAbsent(t, s, "ok")
	put(t, s, strings.Repeat("k", store.MaxKey), "longest key")
}

func testCopies(t *testing.T, s store.Store) {
	value := []byte("abc")
	txn(t, s, true, nil, store.Put("a", value))
	value[0] = 'X'
	got := get(t, s, "a").Value
	equal(t, "after the caller changed its bytes", "abc", string(got))
	got[0] = 'Y'
	kvs, err := s.List(t.Context(), "a")
	if err != nil || len(kvs) != 1 {
		t.Fatalf("list gave %d keys and %v", len(kvs), err)
	}
	kvs[0].Value[1] = 'Z'
	equal(t, "after the reader changed its bytes", "abc", string(get(t, s, "a").Value))
}

func testContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errGet := s.Get(ctx, "a")
	_, errList := s.List(ctx, "")
	_, errWatch := s.Watch(ctx, "")
	_, errTxn := s.Txn(ctx, nil, store.Put("a", nil))
	for i, err := range []error{errGet, errList, errWatch, errTxn} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d gave %v, want context.Canceled", i, err)
		}
	}
	wantAbsent(t, s, "a")
}

func testClosed(t *testing.T, s store.Store) {
	ch, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	drained(t, ch)
	_, errGet := s.Get(t.Context(), "a")
	_, errList := s.List(t.Context(), "")
	_, errWatch := s.Watch(t.Context(), "")
	_, errTxn := s.Txn(t.Context(), nil, store.Put("a", nil))
	for i, err := range []error{errGet, errList, errWatch, errTxn} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("call %d gave %v, want ErrClosed", i, err)
		}
	}
}

func testJSON(t *testing.T, s store.Store) {
	type node struct{ State string }
	op, err := store.PutJSON("node/a", node{"known"})
	if err != nil {
		t.Fatal(err)
	}
	txn(t, s, true, nil, op, store.Put("node/b", []byte("not JSON")))
	got, rev, err := store.GetJSON[node](t.Context(), s, "node/a")
	if err != nil || got.State != "known" || rev != get(t, s, "node/a").Rev {
		t.Errorf("got %v at %d and %v", got, rev, err)
	}
	if _, rev, err := store.GetJSON[node](t.Context(), s, "node/c"); !errors.Is(err, store.ErrNotFound) || rev != 0 {
		t.Errorf("an absent key gave revision %d and %v", rev, err)
	}
	if _, _, err := store.GetJSON[node](t.Context(), s, "node/b"); err == nil || !strings.Contains(err.Error(), "node/b") {
		t.Errorf("a bad value gave %v, want an error with its key", err)
	}
	if _, err := store.ListJSON[node](t.Context(), s, "node/"); err == nil || !strings.Contains(err.Error(), "node/b") {
		t.Errorf("a list with a bad value gave %v, want an error with its key", err)
	}
	items, err := store.ListJSON[node](t.Context(), s, "node/a")
	equal(t, "items", []store.Item[node]{{Key: "node/a", Value: node{"known"}, Rev: rev}}, items)
	if err != nil {
		t.Error(err)
	}
	if _, err := store.PutJSON("x", func() {}); err == nil {
		t.Error("a function became JSON")
	}
}
