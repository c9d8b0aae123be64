package store

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/racker-project/racker/pkg/version"
)

// oldFile puts the state that a racker of schema 1 left in the middle of a run into a folder of its own. The file came from
// that racker, not from this program.
func oldFile(t *testing.T) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "schema1.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "racker.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rawEntries reads a file of schema 1 with bbolt alone.
func rawEntries(t *testing.T, path string) []KV {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out []KV
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("kv")).ForEach(func(k, v []byte) error {
			out = append(out, KV{Key: string(k), Value: bytes.Clone(v[8:]), Rev: number(v)})
			return nil
		})
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d keys, %v", len(out), err)
	}
	return out
}

// contents lists an open store and closes it.
func contents(t *testing.T, b *bolt) []KV {
	t.Helper()
	kvs, err := b.List(t.Context(), "")
	if err = errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	return kvs
}

func TestOldFile(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	want := rawEntries(t, path)
	snapshot, err := TakeFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&Snapshot{Schema: 1, KVs: want}, snapshot); d != "" {
		t.Errorf("read without migrating (-want +got):\n%s", d)
	}
	b, err := open(path, Options{}, steps())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, contents(t, b)); d != "" {
		t.Errorf("migrated (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, rawEntries(t, path+".schema1")); d != "" {
		t.Errorf("kept (-want +got):\n%s", d)
	}
	left, err := filepath.Glob(path + ".*")
	if d := cmp.Diff([]string{path + ".schema1"}, left); err != nil || d != "" {
		t.Errorf("beside the state (-want +got):\n%s%v", d, err)
	}
	snapshot, err = TakeFile(path, Options{})
	if err != nil || snapshot.Schema != Schema() || snapshot.Racker != version.Get().Version {
		t.Errorf("after it: %+v, %v", snapshot, err)
	}
}

// A later racker's table: its first step is ours, the second renames, the third is broken.
func TestMigrations(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	broken := errors.New("broken")
	rename := step{content: func(all []KV) ([]Op, error) {
		var ops []Op
		for _, kv := range all {
			if rest, ok := strings.CutPrefix(kv.Key, "journal/"); ok {
				ops = append(ops, Delete(kv.Key), Put("old/"+rest, kv.Value))
			}
		}
		return ops, nil
	}}
	fail := step{content: func([]KV) ([]Op, error) { return []Op{Put("half", nil)}, broken }}
	if _, err := open(path, Options{}, append(steps(), rename, fail)); !errors.Is(err, broken) || !strings.Contains(err.Error(), "schema 3") {
		t.Fatalf("a migration that fails gave %v", err)
	}
	b, err := open(path, Options{}, append(steps(), rename)) // what was done before it stays, and is whole
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, kv := range contents(t, b) {
		dir, _, _ := strings.Cut(kv.Key, "/")
		keys = append(keys, dir)
	}
	if d := cmp.Diff([]string{"node", "old", "old", "old"}, keys); d != "" {
		t.Errorf("after the migration (-want +got):\n%s", d)
	}
	if _, err := os.Stat(path + ".schema1"); err != nil {
		t.Error(err)
	}
	sealed := rename
	for range 2 { // opened again, nothing is migrated again
		b, err := open(path, Options{}, append(steps(), sealed))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(contents(t, b)); got != len(keys) {
			t.Errorf("%d keys", got)
		}
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "racker.db")
	nothing := step{content: func([]KV) ([]Op, error) { return nil, nil }}
	b, err := open(path, Options{}, append(steps(), nothing))
	if err != nil {
		t.Fatal(err)
	}
	b.commit.Lock()
	err = b.update(func(tx *bbolt.Tx) error {
		l, err := openLedger(tx)
		if err != nil {
			return err
		}
		return errors.Join(l.meta.Put([]byte(metaWriter), []byte("99.1.0")), l.save())
	})
	b.commit.Unlock()
	if err = errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	want := "it has schema 3, by racker 99.1.0; this is racker " + version.Get().Version + ", which knows schemas up to 2"
	_, errOpen := Open(path, Options{})
	_, errTake := TakeFile(path, Options{})
	for _, err := range []error{errOpen, errTake} {
		if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	h, err := Hold(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(h.Damaged, ErrSchema) {
		t.Errorf("held, it says %v", h.Damaged)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// A damaged file of the old schema is found by its pages, an entry that is too short by the migration.
func TestOldFileDamaged(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("kv")).Put([]byte("short"), []byte("1")) })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "short") {
		t.Errorf("got %v", err)
	}
}

// A schema number that is damaged is neither a newer racker's nor an older one's.
func TestDamagedSchema(t *testing.T) {
	t.Parallel()
	for _, schema := range []int64{1, 0, -1, 3, 1 << 44} {
		path := filepath.Join(t.TempDir(), "racker.db")
		b, err := open(path, Options{}, steps())
		if err != nil {
			t.Fatal(err)
		}
		b.commit.Lock()
		err = b.update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketMeta)).Put([]byte(metaSchema), encodeNumber(schema))
		})
		b.commit.Unlock()
		if err = errors.Join(err, b.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrSchema) {
			t.Errorf("schema %d gave %v, want ErrCorrupt", schema, err)
		}
		if _, err := TakeFile(path, Options{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("schema %d read gave %v, want ErrCorrupt", schema, err)
		}
	}
}
