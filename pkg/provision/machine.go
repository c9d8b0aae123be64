package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// Keys of the store.
const (
	nodeKeys     = "node/"    // + MAC -> Record
	runKeys      = "run/"     // + ID -> runRecord
	journalKeys  = "journal/" // + run, time and MAC -> journalEntry
	deadlinesKey = "deadlines"
	replaceKeys  = "replace/" // + old primary MAC -> replacement
	configKeys   = "configs/" // + MAC and digest -> api.NodeConfig; wantedKeys are below it
)

var (
	// ErrNoNode is matched when a word names no node, or more than one.
	ErrNoNode = errors.New("no such node")
	// errStale tells a writer that the record changed under it.
	errStale = errors.New("the node's record changed meanwhile")
)

// Machine is the state machine of all nodes. Its methods may be called concurrently.
type Machine struct {
	cfg     Config
	store   store.Store
	needs   Needs
	log     *slog.Logger
	logs    *nodeLogs
	pace    *pace
	streams *streams
	keys    *Keys
	reach   *Reach
	// rotation is of racker's own key.
	rotation  rotation
	alarms    alarmBook
	hostNames names
	kick      chan struct{} // holds one element when there may be a run that nobody drives

	submits sync.Mutex          // held from the check of an order until it is stored; taken before mu
	ordered map[rack.MAC]string // orders to single nodes under way; guarded by submits
	began   time.Time           // when New was called
	any     signal              // fired at every change of anything

	mu     sync.RWMutex
	rows   *rows
	nodes  map[rack.MAC]*entry
	runs   map[string]*run
	broken string // why the state cannot be written; empty when it can
}

// Needs are the parts that the machine acts through.
type Needs struct {
	BMCs       BMCs
	Images     Images
	Neighbours Neighbours
	Render     Render
	// Keys are the SSH keys of the rack; nil makes them of the store.
	Keys     *Keys
	Events   Publisher
	Metadata Metadata
	// Frames is the listener on the internal network; nil when there is none.
	Frames Frames
	// History is the timeline on disk; nil when there is none.
	History History
	// Remote reaches installed nodes; nil when nothing does.
	Remote Remote
	// Updates are the OS updates that are there; nil when there is no place for them.
	Updates Updates
	// Audit keeps to whom secrets were given; nil keeps nothing.
	Audit Auditor
}

// New loads the state. It starts nothing; Run does.
func New(ctx context.Context, cfg Config, st store.Store, needs Needs, log *slog.Logger) (*Machine, error) {
	m := &Machine{
		cfg: cfg, store: st, needs: needs, log: log, logs: &nodeLogs{dir: cfg.LogDir},
		pace: &pace{interval: cfg.PowerInterval}, streams: newStreams(cfg.ImageStreams),
		kick: make(chan struct{}, 1), nodes: map[rack.MAC]*entry{}, runs: map[string]*run{},
		ordered: map[rack.MAC]string{}, began: time.Now(),
	}
	if m.keys = needs.Keys; m.keys == nil {
		m.keys = NewKeys(st)
	}
	m.reach = NewReach(m.keys, cfg.SSHPort)
	if err := load(ctx, st, nodeKeys, func(r *Record) { m.nodes[r.MAC] = newEntry(r) }); err != nil {
		return nil, err
	}
	if err := load(ctx, st, runKeys, func(r *runRecord) { m.runs[r.ID] = newRun(r) }); err != nil {
		return nil, err
	}
	if err := m.restoreDeadlines(ctx); err != nil {
		return nil, err
	}
	for mac, e := range m.nodes {
		if e.rec.Load().streaming() {
			m.streams.take(mac)
		}
	}
	if err := m.loadNames(ctx); err != nil {
		return nil, err
	}
	if err := m.recall(ctx); err != nil {
		return nil, err
	}
	m.remember()
	return m, m.Reload(ctx)
}

func load[T any](ctx context.Context, st store.Store, prefix string, add func(*T)) error {
	kvs, err := st.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("load state %s: %w", prefix, err)
	}
	for _, kv := range kvs {
		v := new(T)
		if err := json.Unmarshal(kv.Value, v); err != nil {
			return fmt.Errorf("state of %s: %w", kv.Key, err)
		}
		add(v)
	}
	return nil
}

// put is the write of a value of this package.
func put(key string, v any) (store.Op, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return store.Op{}, fmt.Errorf("state of %s: %w", key, err)
	}
	return store.Put(key, b), nil
}

// save writes one value, and more where they are written with it or not at all.
func (m *Machine) save(ctx context.Context, key string, v any, more ...store.Op) error {
	op, err := put(key, v)
	if err != nil {
		return err
	}
	_, err = m.store.Txn(ctx, nil, append([]store.Op{op}, more...)...)
	return err
}

// entry gives what is held of a node; nil for a MAC that was never in nodes.csv.
func (m *Machine) entry(mac rack.MAC) *entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.nodes[mac]
}

// node gives the row and the record, which the caller must not change; nil when there is no row.
func (m *Machine) node(mac rack.MAC) (*rack.Node, *Record) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, e := m.rows.servers[mac], m.nodes[mac]
	if n == nil || e == nil {
		return nil, nil
	}
	return n, e.rec.Load()
}

// record gives a node's record, nil when there is none.
func (m *Machine) record(mac rack.MAC) *Record {
	if e := m.entry(mac); e != nil {
		return e.rec.Load()
	}
	return nil
}

// changes gives a channel that is closed at the next change of anything.
func (m *Machine) changes() <-chan struct{} { return m.any.next() }

// signal wakes everybody who waits for the next change of something. The zero value is ready.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// next gives a channel that is closed when the signal is fired.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
