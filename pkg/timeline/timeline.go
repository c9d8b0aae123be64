package timeline

import (
	"cmp"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// Defaults of Config, and bounds of what is held in memory.
const (
	DefaultSegment  = 16 << 20
	DefaultSegments = 5
	DefaultNodeFile = 256 << 10
	DefaultRunFile  = 4 << 20
	DefaultRuns     = 200
	DefaultEvery    = 250 * time.Millisecond

	maxPending   = 1 << 15 // events that wait for the disk
	maxStrangers = 1024
)

// Config says where and how much is kept.
type Config struct {
	// Dir is the directory of the files. It is made where it is missing.
	Dir string
	// Name gives the name of a node by its MAC for the logs of runs, or ""; nil shows MACs. It is called by Run.
	Name func(mac string) string

	Segment  int64 // size at which events.jsonl is rotated, in bytes; zero means 16 MiB
	Segments int   // how many of them are kept, events.jsonl included; zero means 5
	NodeFile int64 // size at which a node's file is rotated, in bytes, one older part is kept; zero means 256 KiB
	RunFile  int64 // the same of a run's log; zero means 4 MiB
	Runs     int   // how many runs' logs are kept; zero means 200
	// Every is how long an event may wait to be written together with others; zero means 250 ms.
	Every time.Duration
}

// Timeline is the event log. Its methods may be called concurrently.
type Timeline struct {
	cfg   Config
	log   *slog.Logger
	bus   *event.Bus // holds the newest events; its own subscribers are not used
	all   *segments
	wake  chan struct{} // tells Run that there is something to write
	write writer        // Run's own

	mu        sync.Mutex
	pending   []event.Event // not written yet, or being written
	over      gaps          // what pending had no room for
	news      chan struct{} // closed at the next event; nil when nobody waits
	strangers map[string]event.Event
	done      chan struct{} // closed when Run ends
	ended     bool
	followers sync.WaitGroup // nobody is added once ended is set
}

// Open finds where an earlier life of the daemon stopped: the last ID is above all that it gave out. What is wrong with
// the directory is a warning in the log: the timeline then lives in memory.
func Open(cfg Config, log *slog.Logger) *Timeline {
	cfg.Segment = cmp.Or(cfg.Segment, DefaultSegment)
	cfg.Segments = cmp.Or(cfg.Segments, DefaultSegments)
	cfg.NodeFile = cmp.Or(cfg.NodeFile, DefaultNodeFile)
	cfg.RunFile = cmp.Or(cfg.RunFile, DefaultRunFile)
	cfg.Runs = cmp.Or(cfg.Runs, DefaultRuns)
	cfg.Every = cmp.Or(cfg.Every, DefaultEvery)
	for _, sub := range []string{nodesDir, runsDir} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, sub), dirMode); err != nil {
			log.Warn("the timeline has no directory", "err", err)
		}
	}
	all, kept, err := openSegments(growing{path: filepath.Join(cfg.Dir, eventsFile), max: cfg.Segment, keep: cfg.Segments - 1})
	if err != nil {
		log.Warn("the timeline of before is not whole", "err", err)
	}
	last := uint64(0)
	if len(kept) > 0 {
		// Followers may have seen events that a crash kept from the disk.
		last = kept[len(kept)-1].ID + maxPending
	}
	t := &Timeline{
		cfg: cfg, log: log, all: all, bus: event.Resume(last, kept),
		wake: make(chan struct{}, 1), done: make(chan struct{}), strangers: map[string]event.Event{},
		over: gaps{}, write: writer{lost: gaps{}, runs: map[string]bool{}},
	}
	for _, e := range kept {
		t.meet(e)
	}
	return t
}

// Publish gives the event its ID, and the time where it has none, and returns it as published. It never waits. The
// caller must not change Fields afterwards. After the end of Run it is kept in memory only.
func (t *Timeline) Publish(e event.Event) event.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	e = t.bus.Publish(e)
	t.meet(e)
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
	if t.ended {
		return e
	}
	if len(t.pending) >= maxPending || len(t.over) > 0 { // until Run took note, so that one gap stays one
		for _, to := range t.targets(e) {
			t.over.miss(to, e)
		}
	} else {
		t.pending = append(t.pending, e)
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return e
}

// Last is the ID of the newest event; Subscribe with it gives only what comes later.
func (t *Timeline) Last() uint64 { return t.bus.Last() }

// Oldest is the ID of the oldest event that is kept, on disk or in memory; without any, the one that the next will have.
func (t *Timeline) Oldest() uint64 { return min(t.all.oldest(), t.bus.Oldest()) }

// meet remembers when an unknown machine was seen last; the caller holds the lock.
func (t *Timeline) meet(e event.Event) {
	mac := e.Fields[event.KeyMAC]
	if e.Kind != event.Unknown || mac == "" {
		return
	}
	if _, known := t.strangers[mac]; !known && len(t.strangers) >= maxStrangers {
		oldest := mac
		for m, s := range t.strangers {
			if o, ok := t.strangers[oldest]; !ok || s.ID < o.ID {
				oldest = m
			}
		}
		delete(t.strangers, oldest)
	}
	t.strangers[mac] = e
}

// Unknown gives the newest event of each machine that nodes.csv does not list and that was seen since a time, oldest
// first. It knows a thousand machines at most.
func (t *Timeline) Unknown(since time.Time) []event.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.DeleteFunc(slices.Collect(maps.Values(t.strangers)), func(e event.Event) bool { return e.Time.Before(since) })
	slices.SortFunc(out, byID)
	return out
}

// Node gives the newest events of a node by its primary MAC, oldest first: at most limit of them, all that are kept when
// limit is zero. It reads the node's files each time.
func (t *Timeline) Node(mac string, limit int) []event.Event {
	var out []event.Event
	if m, err := rack.ParseMAC(mac); err == nil {
		mac = m.String()
		out = t.nodeFile(mac).file.events(limit)
	}
	written := map[uint64]bool{}
	for i := range out {
		written[out[i].ID] = out[i].Kind != event.Lost
	}
	t.mu.Lock()
	fresh := slices.Concat(t.pending, t.bus.Since(0))
	t.mu.Unlock()
	for _, e := range fresh {
		if e.Node == mac && !written[e.ID] {
			written[e.ID] = true
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, byID)
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out
}

func byID(a, b event.Event) int { return cmp.Compare(a.ID, b.ID) }
