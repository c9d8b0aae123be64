package timeline

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/event"
)

const (
	macA = "52:54:00:00:00:0a"
	macB = "52:54:00:00:00:0b"
)

// small makes rotation come soon.
func small(dir string) Config {
	return Config{Dir: dir, Segment: 4 << 10, Segments: 4, NodeFile: 2 << 10, RunFile: 2 << 10, Runs: 2, Every: time.Millisecond}
}

// record is a log whose lines are kept.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func (r *record) log() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// live is a timeline that runs until stop.
type live struct {
	*Timeline
	stop func()
}

// start opens a timeline and runs it. Its log must stay empty unless log is given.
func start(t *testing.T, cfg Config, log *slog.Logger) *live {
	t.Helper()
	var said record
	if log == nil {
		log = said.log()
	}
	tl := Open(cfg, log)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tl.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		if s := said.String(); s != "" {
			t.Errorf("the log says %s", s)
		}
	})
	t.Cleanup(stop)
	return &live{tl, stop}
}

// publish gives events of two nodes in turn.
func publish(tl *live, from, to int) {
	for i := from; i <= to; i++ {
		tl.Publish(event.Event{Kind: event.FileServed, Node: []string{macA, macB}[i%2], Message: fmt.Sprint(i)})
	}
}

func messages(events []event.Event) []string {
	out := []string{}
	for _, e := range events {
		out = append(out, e.Message)
	}
	return out
}

func count(from, to, step int) []string {
	out := []string{}
	for i := from; i <= to; i += step {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// take reads n events.
func take(t *testing.T, ch <-chan event.Event, n int) []event.Event {
	t.Helper()
	var out []event.Event
	late := time.After(20 * time.Second)
	for len(out) < n {
		select {
		case e, ok := <-ch:
			if !ok {
				t.Fatalf("closed after %d of %d events", len(out), n)
			}
			out = append(out, e)
		case <-late:
			t.Fatalf("%d of %d events came", len(out), n)
		}
	}
	return out
}

// until waits for what another goroutine does.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("never: %s", what)
		}
	}
}

// waits is how many events are not written yet.
func (t *Timeline) waits() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending)
}

// missed is how many files miss events that there was no room for.
func (t *Timeline) missed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.over)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
