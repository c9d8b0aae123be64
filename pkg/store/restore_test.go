package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/store"
)

// snapshot gives n keys, some of them large.
func snapshot(n int) *store.Snapshot {
	s := &store.Snapshot{Schema: store.Schema(), Racker: "1.0.0"}
	for i := range n {
		s.KVs = append(s.KVs, store.KV{Key: "node/" + string(rune('a'+i)), Value: bytes.Repeat([]byte{byte(i)}, i*200_000%store.MaxValue)})
	}
	return s
}

func hold(t *testing.T, path string) *store.Held {
	t.Helper()
	h, err := store.Hold(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// keysOf reads a file that nobody holds.
func keysOf(t *testing.T, path string) (out []string) {
	t.Helper()
	s, err := store.TakeFile(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range s.KVs {
		out = append(out, kv.Key)
	}
	return out
}

func folder(t *testing.T, dir string) (out []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		out = append(out, e.Name())
	}
	return out
}

func TestReplace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "racker.db")
	h := hold(t, path) // there is nothing yet
	if h.Keys != 0 || h.Damaged != nil {
		t.Errorf("nothing has %d keys, %v", h.Keys, h.Damaged)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got := folder(t, dir); len(got) != 0 {
		t.Errorf("%v is left of a state that was only looked at", got)
	}
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	want := snapshot(20)
	for i, kept := range []string{"", path + ".before-20261121T080001.000Z"} {
		h := hold(t, path)
		if _, err := store.Open(path, store.Options{LockTimeout: time.Millisecond}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("while it is held, Open gave %v", err)
		}
		got, err := h.Replace(t.Context(), want, at.Add(time.Duration(i)*time.Second))
		if err = errors.Join(err, h.Close()); err != nil || got != kept {
			t.Fatalf("kept %q, %v; want %q", got, err, kept)
		}
	}
	if d := cmp.Diff([]string{"racker.db", "racker.db.before-20261121T080001.000Z"}, folder(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	got, err := store.TakeFile(path, store.Options{})
	if err != nil || len(got.KVs) != 20 {
		t.Fatalf("%d keys, %v", len(got.KVs), err)
	}
	for i, kv := range got.KVs {
		if kv.Key != want.KVs[i].Key || !bytes.Equal(kv.Value, want.KVs[i].Value) {
			t.Errorf("%s has %d bytes", kv.Key, len(kv.Value))
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Whoever waits for the lock while the state is replaced gets the new state, and not the old file that was kept.
func TestReplaceUnderWaiter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "racker.db")
	h := hold(t, path)
	if _, err := h.Replace(t.Context(), snapshot(1), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = hold(t, path)
	type result struct {
		s   store.Store
		err error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := store.Open(path, store.Options{LockTimeout: 20 * time.Second})
		opened <- result{s, err}
	}()
	kept, err := h.Replace(t.Context(), snapshot(3), time.Now())
	if err = errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	r := <-opened
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.s.Close()
	if _, err := r.s.Txn(t.Context(), nil, store.Put("node/z", nil)); err != nil {
		t.Fatal(err)
	}
	if kvs, err := r.s.List(t.Context(), ""); err != nil || len(kvs) != 4 {
		t.Errorf("the waiter sees %d keys, %v", len(kvs), err)
	}
	if got := keysOf(t, kept); len(got) != 1 {
		t.Errorf("the old file has %v", got)
	}
}

// A restore that ends early, or whose predecessor was killed, leaves the old state and nothing else.
func TestReplaceFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "racker.db")
	h := hold(t, path)
	if _, err := h.Replace(t.Context(), snapshot(2), time.Now()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Replace(ended, snapshot(3), time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gave %v", err)
	}
	newer := snapshot(1)
	newer.Schema = store.Schema() + 1
	if _, err := h.Replace(t.Context(), newer, time.Now()); !errors.Is(err, store.ErrSchema) {
		t.Errorf("a newer schema gave %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "racker.db.new-killed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = hold(t, path)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"racker.db"}, folder(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if got := keysOf(t, path); len(got) != 2 {
		t.Errorf("the state has %v", got)
	}
}

func TestReplaceOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "1m")
	path := filepath.Join(dir, "racker.db")
	h := hold(t, path)
	defer h.Close()
	if _, err := h.Replace(t.Context(), snapshot(2), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Replace(t.Context(), snapshot(20), time.Now()); !errors.Is(err, store.ErrNoSpace) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	if d := cmp.Diff([]string{"racker.db"}, folder(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

// Root restores for a daemon that is not root.
func TestReplaceKeepsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 1234, 1235); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "racker.db")
	for range 2 { // a new file has the folder's owner, then the old file's
		h := hold(t, path)
		_, err := h.Replace(t.Context(), snapshot(1), time.Now())
		if err = errors.Join(err, h.Close()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 1235 {
			t.Errorf("owner %d:%d", st.Uid, st.Gid)
		}
		if err := os.Chown(dir, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// What is in the way of the state file is never replaced.
func TestHoldRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "link"), os.DevNull} {
		if _, err := store.Hold(path, store.Options{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s gave %v", path, err)
		}
	}
}

func TestExportRoundTrip(t *testing.T) {
	t.Parallel()
	want := snapshot(4)
	want.KVs = append(want.KVs, store.KV{Key: "z\xff\x00", Value: []byte("binary")})
	var b bytes.Buffer
	if err := want.Export(&b, time.Now()); err != nil {
		t.Fatal(err)
	}
	got, head, err := store.ReadExport(bytes.NewReader(b.Bytes()))
	if err != nil || head.Keys != 5 || head.Schema != store.Schema() || head.Racker != "1.0.0" {
		t.Fatalf("%+v, %v", head, err)
	}
	if len(got.KVs) != 5 || got.KVs[4].Key != want.KVs[4].Key || string(got.KVs[4].Value) != "binary" || !bytes.Equal(got.KVs[3].Value, want.KVs[3].Value) {
		t.Errorf("%d keys came back, or others", len(got.KVs))
	}
	for cut := 0; cut < b.Len(); cut += 1 + b.Len()/23 { // never taken for whole
		if _, _, err := store.ReadExport(bytes.NewReader(b.Bytes()[:cut])); !errors.Is(err, store.ErrExport) {
			t.Fatalf("cut to %d bytes it gave %v", cut, err)
		}
	}
	if _, _, err := store.ReadExport(strings.NewReader(b.String() + "{}\n")); !errors.Is(err, store.ErrExport) {
		t.Errorf("with more after its end it gave %v", err)
	}
}

func FuzzReadExport(f *testing.F) {
	var b bytes.Buffer
	if err := (&store.Snapshot{Schema: 2, KVs: []store.KV{{Key: "a", Value: []byte("1")}, {Key: "b\xff"}}}).Export(&b, time.Unix(0, 0)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"format":"racker-state","version":1,"schema":1,"time":"2026-11-21T08:00:00Z","keys":999999999999}` + "\n"))
	f.Add([]byte(`{"format":"racker-state","version":-1,"schema":1,"keys":-1}` + "\n{}\n"))
	f.Add([]byte("{}\n{}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, head, err := store.ReadExport(bytes.NewReader(in))
		if err != nil {
			if !errors.Is(err, store.ErrExport) && !errors.Is(err, store.ErrSchema) {
				t.Fatalf("got %v", err)
			}
			return
		}
		var out bytes.Buffer
		if err := s.Export(&out, head.Time); err != nil {
			t.Fatal(err)
		}
		again, _, err := store.ReadExport(&out)
		if err != nil || len(again.KVs) != len(s.KVs) {
			t.Fatalf("written again it gave %v", err)
		}
	})
}
