package timeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/event"
)

// lines makes a file of events with the IDs.
func lines(ids ...uint64) string {
	var b strings.Builder
	for _, id := range ids {
		b.Write(line(event.Event{ID: id, Kind: event.Alarm, Node: macA, Message: fmt.Sprint(id)}))
	}
	return b.String()
}

func TestOpenRepairs(t *testing.T) {
	t.Parallel()
	whole := lines(1, 2, 3)
	tests := map[string]struct {
		file string
		want []string
		left string // of the file
		said string // in the log
	}{
		"nothing":             {"", nil, "", ""},
		"whole":               {whole, count(1, 3, 1), whole, ""},
		"torn":                {whole + `{"id":4,"time":"2026-`, count(1, 3, 1), whole, ""},
		"whole but for \\n":   {whole + strings.TrimSuffix(lines(4), "\n"), count(1, 3, 1), whole, ""},
		"zeros of a crash":    {whole + strings.Repeat("\x00", 5000), count(1, 3, 1), whole, ""},
		"zeros and lines":     {whole + "\x00\x00\n" + lines(4), count(1, 4, 1), whole + "\x00\x00\n" + lines(4), ""},
		"rubbish, ended":      {whole + "{\"id\":4,rubbish\n\n", count(1, 3, 1), whole, ""},
		"nothing of it":       {strings.Repeat("x", 100), nil, "", ""},
		"torn from the start": {`{"id":`, nil, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, eventsFile)
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			tl := start(t, small(dir), nil)
			if d := cmp.Diff(append([]string{}, tt.want...), messages(slices.Collect(tl.Replay(0)))); d != "" {
				t.Errorf("kept (-want +got):\n%s", d)
			}
			e := tl.Publish(event.Event{Kind: event.Alarm, Message: "new"})
			tl.stop()
			if d := cmp.Diff(tt.left+string(line(e)), read(t, path)); d != "" {
				t.Errorf("file (-want +got):\n%s", d)
			}
		})
	}
}

// TestAppendAfterATornLine is about the files that Open does not look at.
func TestAppendAfterATornLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, nodesDir, macA+nodeEnd)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(lines(1)+`{"id":2,"ti`), 0o600); err != nil {
		t.Fatal(err)
	}
	tl := start(t, small(dir), nil)
	publish(tl, 2, 2)
	tl.stop()
	if d := cmp.Diff([]string{"1", "2"}, messages(Open(small(dir), new(record).log()).Node(macA, 0))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestDiskFull uses the device that is always full.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, eventsFile), filepath.Join(dir, nodesDir, macA+nodeEnd), filepath.Join(dir, runsDir, "run-1.log")}
	for _, p := range paths {
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.Symlink("/dev/full", p)); err != nil {
			t.Fatal(err)
		}
	}
	var said record
	tl := start(t, small(dir), said.log())
	publish1 := func(i int) {
		tl.Publish(event.Event{Kind: event.Alarm, Node: macA, Run: "run-1", Message: fmt.Sprint(i)})
		until(t, "tried", func() bool { return tl.waits() == 0 })
	}
	for i := range 5 {
		publish1(i)
	}
	publish(tl, 1, 1) // another node's file is fine
	until(t, "written", func() bool { return tl.waits() == 0 })
	if d := cmp.Diff([]string{"0", "1", "2", "3", "4", "1"}, messages(slices.Collect(tl.Replay(0)))); d != "" {
		t.Errorf("in memory (-want +got):\n%s", d)
	}
	if got := messages(tl.Node(macA, 0)); !slices.Equal(got, count(0, 4, 1)) {
		t.Errorf("the node's events: %v", got)
	}
	until(t, "warned", func() bool { return strings.Contains(said.String(), "not written") })
	for _, p := range paths {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	publish1(5)
	tl.stop()
	if s := said.String(); strings.Count(s, "level=WARN") != 1 || !strings.Contains(s, "no space left") || !strings.Contains(s, "written again") {
		t.Errorf("the log says:\n%s", s)
	}
	for i, want := range []string{`6 events before this one`, `5 events before this one`, `5 events before this one`} {
		got := strings.Split(strings.TrimSpace(read(t, paths[i])), "\n")
		if len(got) != 2 || !strings.Contains(got[0], want) || !strings.Contains(got[1], "5") {
			t.Errorf("%s:\n%s", paths[i], got)
		}
	}
	next := start(t, small(dir), nil)
	if got := slices.Collect(next.Replay(0)); len(got) != 2 || got[0].Kind != event.Lost || got[0].Fields["count"] != "6" {
		t.Errorf("read back: %v", got)
	}
	if got := messages(next.Node(macB, 0)); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the other node's events: %v", got)
	}
}

// TestDiskFills fills a real file system, where the last write may be cut short.
func TestDiskFills(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var said record
	tl := start(t, Config{Dir: dir, Every: time.Millisecond}, said.log())
	first := tl.Publish(event.Event{Message: "0"}).ID
	n := 0
	for ; !strings.Contains(said.String(), "no space left"); n += 10 {
		publish(tl, n+1, n+10)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "written", func() bool { return tl.waits() == 0 && tl.missed() == 0 })
	publish(tl, n+1, n+1)
	tl.stop()
	text := read(t, dir, eventsFile)
	got := parse([]byte(text), 0)
	missing := 0
	for i, e := range got {
		if e.Kind == event.Lost {
			lost := 0
			if _, err := fmt.Sscan(e.Fields[event.KeyCount], &lost); err != nil || lost == 0 {
				t.Fatalf("%v: %v", e, err)
			}
			missing += lost - 1
		}
		if want := first + uint64(i+missing); e.ID != want {
			t.Fatalf("line %d has ID %d, want %d", i, e.ID, want)
		}
	}
	if strings.Count(text, "\n") != len(got) || got[len(got)-1].Message != fmt.Sprint(n+1) || missing == 0 {
		t.Errorf("%d events in %d lines, %d missing", len(got), strings.Count(text, "\n"), missing)
	}
}

// TestNoDirectory runs where there can be no file at all.
func TestNoDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said record
	tl := start(t, small(filepath.Join(file, "logs")), said.log())
	publish(tl, 1, 10)
	if got := take(t, tl.Subscribe(t.Context(), 0), 10); got[9].Message != "10" {
		t.Errorf("%v", got)
	}
	tl.stop()
	if s := said.String(); !strings.Contains(s, "not a directory") {
		t.Errorf("the log says %q", s)
	}
}

// TestDirectoryIsTakenAway: somebody tidies up.
func TestDirectoryIsTakenAway(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	tl := start(t, small(dir), nil)
	publish(tl, 1, 2)
	until(t, "written", func() bool { return tl.waits() == 0 })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	publish(tl, 3, 4)
	tl.stop()
	if !strings.Contains(read(t, dir, eventsFile), `"message":"4"`) || !strings.Contains(read(t, dir, nodesDir, macA+nodeEnd), `"message":"4"`) {
		t.Error("it is not written again")
	}
}

// TestSlowDisk has a disk that takes nothing for a while: what is more than fits is counted, and nobody waits.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tl := start(t, Config{Dir: dir, Every: time.Millisecond}, nil)
	tl.all.mu.Lock() // the file is not to be had
	first := tl.Publish(event.Event{Message: "0"}).ID
	publish(tl, 1, maxPending+9)
	tl.all.mu.Unlock()
	until(t, "written", func() bool { return tl.waits() == 0 })
	publish(tl, 1, 1)
	tl.stop()
	got := slices.Collect(tl.Replay(first))
	if len(got) < event.Held {
		t.Fatalf("%d events", len(got))
	}
	var lost []event.Event
	for _, e := range (growing{path: filepath.Join(dir, eventsFile), keep: 4}).events(0) {
		if e.Kind == event.Lost {
			lost = append(lost, e)
		}
	}
	if len(lost) != 1 || lost[0].Fields[event.KeyCount] != "10" || lost[0].ID != first+maxPending+9 {
		t.Errorf("lost: %v", lost)
	}
	if !strings.Contains(read(t, dir, nodesDir, macA+nodeEnd), "5 events before this one") {
		t.Error("the node's file does not say what is missing")
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("\x01", maxLine)
	for name, e := range map[string]event.Event{
		"huge message": {ID: 7, Message: huge, Fields: map[string]string{"a": "b"}},
		"huge field":   {ID: 7, Message: "x", Fields: map[string]string{"a": huge}},
		"odd time":     {ID: 7, Message: "x", Time: time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)},
		"bad UTF-8":    {ID: 7, Message: "\xff\n\"", Run: "\x00"},
	} {
		b := line(e)
		got := parse(b, 6)
		if len(got) != 1 || len(b) > maxLine || strings.Count(string(b), "\n") != 1 || got[0].Message == "" {
			t.Errorf("%s: %d bytes, %v", name, len(b), got)
		}
	}
}

// FuzzFiles opens whatever a file may hold: no panic, and what comes after it is found again.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(lines(1, 2)), []byte(lines(3)+`{"id":`), uint64(1))
	f.Add([]byte("\n\n\x00"), []byte(`{"id":18446744073709551615,"message":1}`+"\n"), uint64(0))
	f.Add([]byte{}, []byte(`{"id":5,"time":"x"}`+"\n{\"id\":7}\n"), uint64(7))
	f.Fuzz(func(t *testing.T, older, newer []byte, after uint64) {
		dir := t.TempDir()
		path := filepath.Join(dir, eventsFile)
		if err := errors.Join(os.WriteFile(path, newer, 0o600), os.WriteFile(path+".1", older, 0o600)); err != nil {
			t.Fatal(err)
		}
		tl := Open(small(dir), new(record).log())
		before := tl.Last()
		for range tl.Replay(after) {
		}
		e := tl.Publish(event.Event{Kind: event.Alarm, Message: "new"})
		if e.ID <= before {
			t.Errorf("ID %d follows %d", e.ID, before)
		}
		tl.flush()
		if got := slices.Collect(Open(small(dir), new(record).log()).Replay(0)); len(got) == 0 || got[len(got)-1].Message != "new" {
			t.Errorf("read back: %v", got)
		}
	})
}
