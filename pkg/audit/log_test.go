package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/audit"
)

func open(t *testing.T, path string, max int64) *audit.Log {
	t.Helper()
	return openLast(t, path, max, 0)
}

func openLast(t *testing.T, path string, max int64, last int) *audit.Log {
	t.Helper()
	tick := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	l, err := audit.Open(t.Context(), path, audit.Options{MaxSize: max, Last: last, Now: func() time.Time {
		tick = tick.Add(time.Second)
		return tick
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// fill appends n orders and gives them as they were written.
func fill(t *testing.T, l *audit.Log, n int) []api.AuditEntry {
	t.Helper()
	var out []api.AuditEntry
	for i := range n {
		e, err := l.Append(api.AuditEntry{UID: 1000 + i, SudoUser: "jo", Command: "racker node exclude <n1> & \"x\"\n", Order: "POST /v1/nodes/n1/exclude", Result: "ok"})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func read(t *testing.T, l *audit.Log) api.AuditView {
	t.Helper()
	v, err := l.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		out = append(out, e.Name())
	}
	return out
}

func TestAppend(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log", "audit.log")
	l := open(t, path, 0)
	want := fill(t, l, 3)
	if want[0].Seq != 1 || want[0].Prev != "" || want[2].Prev != want[1].Hash || want[2].Time.IsZero() {
		t.Errorf("the entries are not a chain: %+v", want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(api.AuditEntry{}); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("after Close Append gave %v", err)
	}
	if _, err := l.View(t.Context()); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("after Close View gave %v", err)
	}
	l = open(t, path, 0)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	e, err := l.Append(api.AuditEntry{Time: at, Order: "POST /v1/runs", Plan: "ab", Result: "no such node", Run: "run-1"})
	if err != nil || !e.Time.Equal(at) || e.Seq != 4 {
		t.Errorf("%+v, %v", e, err)
	}
	want = append(want, e)
	if d := cmp.Diff(api.AuditView{Entries: want}, read(t, l)); d != "" {
		t.Errorf("read (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[2:], read(t, openLast(t, path, 0, 2)).Entries); d != "" {
		t.Errorf("the last two (-want +got):\n%s", d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A line's hash can be computed without racker: it is the SHA-256 of the line without ,"hash":"...".
func TestHashByHand(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	fill(t, open(t, path, 0), 3)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := regexp.MustCompile(`,"hash":"[0-9a-f]{64}"\}$`)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		var e api.AuditEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(cut.ReplaceAllString(line, "}")))
		if hex.EncodeToString(sum[:]) != e.Hash {
			t.Errorf("line %d has hash %s", e.Seq, e.Hash)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	want := fill(t, open(t, path, 1000), 7)
	want = append(want, fill(t, open(t, path, 1000), 3)...) // opened again, it goes on
	l := open(t, path, 1000)
	if d := cmp.Diff(api.AuditView{Entries: want}, read(t, l)); d != "" {
		t.Errorf("over all files (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"audit.log", "audit.log.000000000004", "audit.log.000000000008"}, names(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[3:], read(t, openLast(t, path, 1000, 7)).Entries); d != "" {
		t.Errorf("the last seven (-want +got):\n%s", d)
	}
	if err := os.WriteFile(filepath.Join(dir, "audit.log.5"), []byte("another's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v := read(t, l); v.Broken != "" {
		t.Errorf("a file that is none of ours: %s", v.Broken)
	}
	if err := os.Remove(filepath.Join(dir, "audit.log.000000000008")); err != nil {
		t.Fatal(err)
	}
	if v := read(t, l); !strings.Contains(v.Broken, "audit.log line 1: entry 9 comes after entry 4") {
		t.Errorf("without the second file: %q", v.Broken)
	}
	if err := os.Remove(filepath.Join(dir, "audit.log.000000000004")); err != nil {
		t.Fatal(err)
	}
	if v := read(t, l); !strings.Contains(v.Broken, "the entries before 9 are missing") {
		t.Errorf("without the first file: %q", v.Broken)
	}
}

// What a crash left of the last line, at any byte of it, is cut off and noted; every line before it stays.
func TestTornLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "whole")
	want := fill(t, open(t, path, 0), 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.LastIndex(strings.TrimSuffix(string(whole), "\n"), "\n") + 1
	for cut := last + 1; cut < len(whole); cut += 13 {
		path := filepath.Join(dir, fmt.Sprint(cut))
		if err := os.WriteFile(path, whole[:cut], 0o640); err != nil {
			t.Fatal(err)
		}
		if v, err := audit.ReadFile(t.Context(), path, 0); err != nil || !strings.Contains(v.Broken, "the line after entry 2") {
			t.Fatalf("cut at %d, before it is opened: %q, %v", cut, v.Broken, err)
		}
		l := open(t, path, 0)
		next := fill(t, l, 1)
		v := read(t, l)
		if v.Broken != "" || len(v.Entries) != 4 || v.Entries[2].Order != audit.RepairOrder || v.Entries[2].Seq != 3 {
			t.Fatalf("cut at %d: %+v", cut, v)
		}
		if !strings.Contains(v.Entries[2].Result, fmt.Sprintf("%d bytes", cut-last)) {
			t.Errorf("the note says %q", v.Entries[2].Result)
		}
		if d := cmp.Diff(append(want[:2:2], v.Entries[2], next[0]), v.Entries); d != "" {
			t.Errorf("cut at %d (-want +got):\n%s", cut, d)
		}
	}
}

func TestBrokenChain(t *testing.T) {
	t.Parallel()
	lines := func(f func([]string) []string) func(string) string {
		return func(s string) string { return strings.Join(f(strings.SplitAfter(s, "\n")), "") }
	}
	tests := map[string]struct {
		change func(string) string
		want   string // of Broken
		kept   int    // entries that can still be read
	}{
		"a word":        {func(s string) string { return strings.Replace(s, "/n1/exclude", "/n2/exclude", 1) }, "audit.log line 1: it was changed", 5},
		"a blank":       {func(s string) string { return strings.Replace(s, `"seq":2,`, `"seq": 2,`, 1) }, "audit.log line 2: it was changed", 5},
		"a hash":        {func(s string) string { return strings.Replace(s, `"hash":"`, `"hash":"0`, 1) }, "audit.log line 1: it does not end in a hash", 5},
		"a line gone":   {lines(func(l []string) []string { return append(l[:2:2], l[3:]...) }), "audit.log line 3: entry 4 comes after entry 2", 4},
		"a line twice":  {lines(func(l []string) []string { return append(l[:2:2], l[1:]...) }), "audit.log line 3: entry 2 comes after entry 2", 6},
		"lines swapped": {lines(func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }), "audit.log line 2: entry 3 comes after entry 1", 5},
		"the first":     {lines(func(l []string) []string { return l[1:] }), "audit.log line 1: the entries before 2 are missing", 4},
		"the last":      {lines(func(l []string) []string { return l[:4] }), "it ends with entry 4, and the last that was written is 5", 4},
		"all":           {func(string) string { return "" }, "it ends with entry 0, and the last that was written is 5", 0},
		"no JSON":       {lines(func(l []string) []string { l[3] = "nonsense\n"; return l }), "audit.log line 4: it is no entry", 4},
		"an empty line": {func(s string) string { return "\n" + s }, "audit.log line 1: it is no entry", 5},
		"a long line":   {func(s string) string { return s + strings.Repeat("x", 3<<20) + "\n" }, "audit.log line 6: it is no entry", 5},
		"half a line":   {func(s string) string { return s + "{" }, "the line after entry 5 was not written to its end", 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			l := open(t, path, 0)
			fill(t, l, 5)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.change(string(b))), 0o640); err != nil {
				t.Fatal(err)
			}
			v := read(t, l)
			if !strings.HasPrefix(v.Broken, tt.want) || len(v.Entries) != tt.kept {
				t.Errorf("%q with %d entries, want %q with %d", v.Broken, len(v.Entries), tt.want, tt.kept)
			}
		})
	}
}

// A chain whose line was made anew, with a hash that fits it, breaks at the next.
func TestForgedLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "audit.log"), filepath.Join(dir, "other.log")
	fill(t, open(t, path, 0), 3)
	if _, err := open(t, other, 0).Append(api.AuditEntry{Order: "forged"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n")
	if err := os.WriteFile(path, append(forged, rest...), 0o640); err != nil {
		t.Fatal(err)
	}
	l := open(t, path, 0)
	fill(t, l, 1) // a broken chain takes further orders
	if v := read(t, l); v.Broken != "audit.log line 2: entry 2 does not go on from the entry before" || len(v.Entries) != 4 {
		t.Errorf("%q with %d entries", v.Broken, len(v.Entries))
	}
}

// Whoever removes the file while the daemon runs does not keep the next order out of the record.
func TestFileRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, 0)
	fill(t, l, 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want := fill(t, l, 1)
	if d := cmp.Diff(api.AuditView{Entries: want, Broken: "audit.log line 1: the entries before 3 are missing"}, read(t, l)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "audit.log"), 4000)
	group, ctx := errgroup.WithContext(t.Context())
	for i := range 8 {
		group.Go(func() error {
			for range 20 {
				if _, err := l.Append(api.AuditEntry{UID: i, Order: "POST /v1/runs", Result: "ok"}); err != nil {
					return err
				}
				v, err := l.View(ctx)
				if err != nil || v.Broken != "" {
					return fmt.Errorf("%q: %w", v.Broken, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if v := read(t, l); len(v.Entries) != 160 || v.Broken != "" {
		t.Errorf("%d entries, %q", len(v.Entries), v.Broken)
	}
}

func TestNoRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := audit.ReadFile(t.Context(), filepath.Join(dir, "audit.log"), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file gave %v", err)
	}
	if _, err := audit.ReadFile(t.Context(), filepath.Join(dir, "none", "audit.log"), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder gave %v", err)
	}
	if _, err := audit.Open(t.Context(), dir, audit.Options{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder gave %v", err)
	}
	l := open(t, filepath.Join(dir, "audit.log"), 0)
	if v := read(t, l); len(v.Entries) != 0 || v.Entries == nil || v.Broken != "" {
		t.Errorf("an empty record is %+v", v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fill(t, l, 1)
	if _, err := l.View(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gave %v", err)
	}
}
