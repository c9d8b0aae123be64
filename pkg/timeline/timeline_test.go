package timeline

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/event"
)

func TestEventsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tl := start(t, Config{Dir: dir}, nil)
	at := time.Date(2026, 11, 21, 8, 0, 0, 5, time.UTC)
	var want []event.Event
	for _, e := range []event.Event{
		{Kind: event.DHCPSeen, Node: macA, Message: "line\nbreak \"quoted\"", Time: at, Fields: map[string]string{"ip": "10.0.0.1"}},
		{Kind: event.Alarm, Run: "run-1", Message: "an alarm", Time: at},
	} {
		want = append(want, tl.Publish(e))
	}
	tl.stop()
	late := tl.Publish(event.Event{Kind: event.Alarm, Message: "after the end"}) // must not wait, and is kept in memory

	next := start(t, Config{Dir: dir}, nil)
	if d := cmp.Diff(want, slices.Collect(next.Replay(0))); d != "" {
		t.Errorf("after the restart (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[1:], slices.Collect(next.Replay(want[0].ID))); d != "" {
		t.Errorf("after the first (-want +got):\n%s", d)
	}
	if e := next.Publish(event.Event{Kind: event.Alarm}); e.ID <= late.ID {
		t.Errorf("ID %d came again: before the restart it was at %d", e.ID, late.ID)
	}
}

// TestIDsGrowThoughTheClockGoesBack has IDs of a clock that was an hour ahead.
func TestIDsGrowThoughTheClockGoesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ahead := uint64(time.Now().Add(time.Hour).UnixMilli())
	old := line(event.Event{ID: ahead, Kind: event.Alarm, Message: "old"})
	if err := os.WriteFile(filepath.Join(dir, eventsFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	tl := start(t, small(dir), nil)
	if e := tl.Publish(event.Event{}); e.ID <= ahead {
		t.Errorf("ID %d follows %d", e.ID, ahead)
	}
}

func TestReplayFromDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := Config{Dir: dir, Segment: 256 << 10, Segments: 20, Every: time.Millisecond}
	tl := start(t, cfg, nil)
	const n = 3*event.Held + 7
	first := tl.Publish(event.Event{Message: "0"}).ID
	publish(tl, 1, n)
	live := take(t, tl.Subscribe(t.Context(), first), n)
	if d := cmp.Diff(count(1, n, 1), messages(live)); d != "" {
		t.Fatalf("from disk, the way there and memory (-want +got):\n%s", d)
	}
	tl.stop()
	parts, err := filepath.Glob(filepath.Join(dir, eventsFile+".*"))
	if err != nil || len(parts) < 3 {
		t.Errorf("parts %v, %v: rotation was not tried", parts, err)
	}
	tl = start(t, cfg, nil)
	for _, after := range []int{0, 1, 100, n - event.Held - 1, n - event.Held, n - 1, n} {
		id := first + uint64(after)
		if d := cmp.Diff(count(after+1, n, 1), messages(slices.Collect(tl.Replay(id)))); d != "" {
			t.Errorf("after %d (-want +got):\n%s", after, d)
		}
	}
	for _, after := range []uint64{0, 1 << 62} { // nobody's ID, and another life's: what memory holds
		if got := slices.Collect(tl.Replay(after)); len(got) != event.Held {
			t.Errorf("after %d: %d events", after, len(got))
		}
	}
	for range tl.Replay(first) { // a reader that leaves early
		break
	}
}

// TestFollowOverRotation lets a slow reader go through all parts while they are renamed under it.
func TestFollowOverRotation(t *testing.T) {
	t.Parallel()
	cfg := small(t.TempDir())
	cfg.Segment, cfg.Segments = 64<<10, 40
	tl := start(t, cfg, nil)
	first := tl.Publish(event.Event{Message: "0"}).ID
	ch := tl.Subscribe(t.Context(), first)
	const n = 2 * event.Held
	var got []string
	for i := range n {
		publish(tl, 2*i+1, 2*i+2)
		got = append(got, messages(take(t, ch, 1))...)
	}
	got = append(got, messages(take(t, ch, n))...)
	if d := cmp.Diff(count(1, 2*n, 1), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestOldEventsGo: what is rotated away is missed, and nothing else.
func TestOldEventsGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tl := start(t, small(dir), nil)
	first := tl.Publish(event.Event{Message: "0"}).ID
	for i := range 20 {
		publish(tl, i*500+1, i*500+500)
		until(t, "written", func() bool { return tl.waits() == 0 })
	}
	tl.stop()
	kept := slices.Collect(tl.Replay(first))
	if kept[0].ID != tl.Oldest() {
		t.Errorf("the oldest has ID %d, not %d", kept[0].ID, tl.Oldest())
	}
	got := messages(kept)
	if want := count(10000-len(got)+1, 10000, 1); len(got) < event.Held || !slices.Equal(got, want) {
		t.Errorf("%d events, from %s", len(got), got[0])
	}
	var size int64
	list, err := os.ReadDir(dir)
	for _, d := range list {
		if info, ierr := d.Info(); ierr == nil && !d.IsDir() {
			size += info.Size()
		}
	}
	if err != nil || size > 4*(4<<10+500*200) {
		t.Errorf("%d bytes are kept, %v", size, err)
	}
}

func TestNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tl := start(t, Config{Dir: dir, Every: time.Millisecond}, nil)
	publish(tl, 1, 100)
	if d := cmp.Diff(count(92, 100, 2), messages(tl.Node("52:54:00:00:00:0A", 5))); d != "" {
		t.Errorf("while it is written (-want +got):\n%s", d)
	}
	tl.stop()
	tl = start(t, Config{Dir: dir, Every: time.Hour}, nil) // from now on only memory has what comes
	publish(tl, 101, 110)
	if d := cmp.Diff(count(1, 109, 2), messages(tl.Node(macB, 0))); d != "" {
		t.Errorf("disk and memory (-want +got):\n%s", d)
	}
	for limit := range 60 {
		all := count(1, 109, 2)
		if d := cmp.Diff(all[len(all)-min(max(limit, 1), len(all)):], messages(tl.Node(macB, max(limit, 1)))); d != "" {
			t.Errorf("the newest %d (-want +got):\n%s", limit, d)
		}
	}
	for _, mac := range []string{"", "52:54:00:00:00:0c", "../events", "x\x00"} {
		if got := tl.Node(mac, 0); len(got) != 0 {
			t.Errorf("Node(%q) = %v", mac, got)
		}
	}
	if i := strings.Index(read(t, dir, nodesDir, macA+nodeEnd), `"node":"`+macB); i >= 0 {
		t.Error("one node's file has the other's events")
	}
}

func TestNodeFilesRotate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tl := start(t, small(dir), nil)
	for i := range 100 {
		publish(tl, 2*i, 2*i)
		until(t, "written", func() bool { return tl.waits() == 0 })
	}
	tl.stop()
	list, err := filepath.Glob(filepath.Join(dir, nodesDir, "*"))
	path := filepath.Join(dir, nodesDir, macA+nodeEnd)
	if d := cmp.Diff([]string{path, path + ".1"}, list); d != "" || err != nil {
		t.Errorf("files: %v\n%s", err, d)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2<<10 {
		t.Errorf("size %d, %v", info.Size(), err)
	}
}

func TestRunLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := small(dir)
	cfg.Name = func(mac string) string { return map[string]string{macA: "node-1"}[mac] }
	tl := start(t, cfg, nil)
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	for _, e := range []event.Event{
		{Kind: event.RunChange, Run: "run-1", Message: "run-1 began"},
		{Kind: event.Transition, Run: "run-1", Node: macA, Message: "installing\x1b[31m\nnot a line"},
		{Kind: event.BMCReading, Run: "run-1", Node: macB, Message: "power is off"},
		{Kind: event.RunChange, Run: "../run-2", Message: "not a file name"},
	} {
		e.Time = at
		tl.Publish(e)
	}
	tl.stop()
	want := `2026-11-21T08:00:00Z run                          run-1 began
2026-11-21T08:00:00Z transition node-1            installing [31m not a line
2026-11-21T08:00:00Z bmc        52:54:00:00:00:0b power is off
`
	if d := cmp.Diff(want, read(t, dir, runsDir, "run-1.log")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, runsDir, "run-1.log"), old, old); err != nil {
		t.Fatal(err)
	}
	tl = start(t, cfg, nil)
	for _, run := range []string{"run-2", "run-3"} {
		tl.Publish(event.Event{Kind: event.RunChange, Run: run, Message: "x"})
		until(t, run, func() bool { _, err := os.Stat(filepath.Join(dir, runsDir, run+runEnd)); return err == nil })
	}
	tl.stop()
	list, err := os.ReadDir(filepath.Join(dir, runsDir))
	if err != nil || len(list) != 2 || list[0].Name() != "run-2.log" {
		t.Errorf("logs %v, %v: want the newest two", list, err)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tl := start(t, small(dir), nil)
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	seen := func(mac string, after time.Duration) {
		tl.Publish(event.Event{Kind: event.Unknown, Time: at.Add(after), Message: after.String(), Fields: map[string]string{event.KeyMAC: mac}})
	}
	seen(macA, 0)
	seen(macB, time.Second)
	seen(macA, time.Minute)
	tl.Publish(event.Event{Kind: event.DHCPSeen, Time: at, Fields: map[string]string{event.KeyMAC: "52:54:00:00:00:0c"}})
	tl.Publish(event.Event{Kind: event.Unknown, Time: at})
	check := func(since time.Duration, want ...string) {
		t.Helper()
		if d := cmp.Diff(append([]string{}, want...), messages(tl.Unknown(at.Add(since)))); d != "" {
			t.Errorf("since %s (-want +got):\n%s", since, d)
		}
	}
	check(0, "1s", "1m0s")
	check(2*time.Second, "1m0s")
	check(time.Hour)
	tl.stop()
	tl = start(t, small(dir), nil)
	check(0, "1s", "1m0s")
	for i := range 2 * maxStrangers {
		seen(fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&0xff), time.Hour)
	}
	if got := tl.Unknown(time.Time{}); len(got) != maxStrangers || got[0].Message != "1h0m0s" {
		t.Errorf("%d machines are remembered, the oldest %v", len(got), got[0])
	}
}
