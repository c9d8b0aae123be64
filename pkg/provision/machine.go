package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// Keys of the store.
const (
	nodeKeys    = "node/"    // + MAC -> Record
	runKeys     = "run/"     // + ID -> runRecord
	journalKeys = "journal/" // + time and MAC -> journalEntry
)

var (
	// ErrNoNode is matched when a word names no node, or more than one.
	ErrNoNode = errors.New("no such node")
	// errStale tells a writer that the record changed under it.
	errStale = errors.New("the node's record changed meanwhile")
)

// Machine is the state machine of all nodes. Its methods may be called concurrently.
type Machine struct {
	cfg    Config
	store  store.Store
	needs  Needs
	log    *slog.Logger
	logs   *nodeLogs
	starts chan string // IDs of runs to drive

	submits sync.Mutex // held from the check of a request until its run is stored; taken before mu

	mu      sync.Mutex
	rack    *rack.Rack
	plan    *rack.Plan
	nodes   map[rack.MAC]*Record
	live    map[rack.MAC]*live
	runs    map[string]*runRecord
	changed chan struct{} // closed and replaced at every change
}

// Needs are the parts that the machine acts through.
type Needs struct {
	BMCs       BMCs
	Images     Images
	Neighbours Neighbours
	Render     Render
	Events     Publisher
	Metadata   Metadata
}

// journalEntry is one transition; progress is never journalled.
type journalEntry struct {
	Time   time.Time `json:"time"`
	MAC    rack.MAC  `json:"mac"`
	Run    string    `json:"run,omitempty"`
	From   State     `json:"from"`
	To     State     `json:"to"`
	Reason string    `json:"reason,omitempty"`
}

// New loads the state. It starts nothing; Run does.
func New(ctx context.Context, cfg Config, st store.Store, needs Needs, log *slog.Logger) (*Machine, error) {
	m := &Machine{
		cfg: cfg, store: st, needs: needs, log: log, logs: &nodeLogs{dir: cfg.LogDir},
		starts: make(chan string, 16),
		nodes:  map[rack.MAC]*Record{}, live: map[rack.MAC]*live{}, runs: map[string]*runRecord{},
		changed: make(chan struct{}),
	}
	if err := load(ctx, st, nodeKeys, func(r *Record) { m.nodes[r.MAC] = r }); err != nil {
		return nil, err
	}
	if err := load(ctx, st, runKeys, func(r *runRecord) { m.runs[r.ID] = r }); err != nil {
		return nil, err
	}
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

// Reload reads nodes.csv again. Nodes that are new become known; records of rows that went stay.
func (m *Machine) Reload(ctx context.Context) error {
	r, plan, err := m.needs.Metadata.Load(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rack, m.plan = r, plan
	for _, n := range r.Servers() {
		if m.nodes[n.Primary] == nil {
			m.nodes[n.Primary] = &Record{MAC: n.Primary, State: Known, Since: time.Now().UTC()}
		}
		if m.live[n.Primary] == nil {
			m.live[n.Primary] = &live{moved: time.Now()}
		}
	}
	m.wake()
	return nil
}

// Plan gives the address plan in force.
func (m *Machine) Plan() *rack.Plan {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plan
}

// Rack gives the rows in force.
func (m *Machine) Rack() *rack.Rack {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rack
}

// Listed reports whether nodes.csv has a server with this primary MAC.
func (m *Machine) Listed(mac rack.MAC) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.row(mac) != nil
}

// node gives the row and a copy of the record.
func (m *Machine) node(mac rack.MAC) (*rack.Node, *Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := m.nodes[mac]
	n := m.row(mac)
	if rec == nil || n == nil {
		return nil, nil
	}
	return n, rec.clone()
}

// row finds a server's row by its primary MAC; the caller holds the lock.
func (m *Machine) row(mac rack.MAC) *rack.Node {
	for _, n := range m.rack.Servers() {
		if n.Primary == mac {
			return n
		}
	}
	return nil
}

// update changes a record under the lock, durably, without a change of state: a token given, a step acknowledged.
// fn returns an error to leave all as it was.
func (m *Machine) update(ctx context.Context, mac rack.MAC, fn func(*Record) error) error {
	_, err := m.write(ctx, mac, "", fn)
	return err
}

// transition is the one way into a state. It journals before anybody can act on the new state; fn may change more of
// the record in the same transaction. A transition that the state machine does not have is an error.
func (m *Machine) transition(ctx context.Context, mac rack.MAC, to State, fn func(*Record) error) error {
	from, err := m.write(ctx, mac, to, fn)
	if err != nil {
		return err
	}
	n, rec := m.node(mac)
	if n == nil {
		m.log.InfoContext(ctx, "state changed", "mac", mac, "state", to, "from", from)
		return nil
	}
	text := fmt.Sprintf("%s: %s", n.Where(), to)
	if rec.Reason != "" && to == Failed {
		text += ": " + rec.Reason
	}
	m.log.InfoContext(ctx, "state changed", "node", n.Name, "state", to, "from", from, "run", rec.Run)
	m.note(mac, event.Event{Kind: event.Transition, Run: rec.Run, Message: text,
		Fields: map[string]string{"state": string(to), "from": string(from), "reason": rec.Reason}})
	return nil
}

func (m *Machine) write(ctx context.Context, mac rack.MAC, to State, fn func(*Record) error) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.nodes[mac]
	if old == nil {
		return "", fmt.Errorf("%s: %w", mac, ErrNoNode)
	}
	next := old.clone()
	now := time.Now().UTC()
	var ops []store.Op
	if to != "" {
		if !may(old.State, to) {
			return "", fmt.Errorf("%s: %s cannot follow %s: %w", mac, to, old.State, errStale)
		}
		next.State, next.Since = to, now
		if to != Failed {
			next.Step, next.Reason, next.Unreached, next.Refused = "", "", false, false
		} else {
			next.Step = string(old.State)
		}
	}
	if fn != nil {
		if err := fn(next); err != nil {
			return "", err
		}
	}
	next.Reason = sentence(next.Reason)
	if to != "" {
		entry := journalEntry{Time: now, MAC: mac, Run: next.Run, From: old.State, To: to, Reason: next.Reason}
		ops = append(ops, put(journalKeys+now.Format("20060102T150405.000000000")+"/"+mac.String(), entry))
	}
	ops = append(ops, put(nodeKeys+mac.String(), next))
	if _, err := m.store.Txn(ctx, nil, ops...); err != nil {
		return "", fmt.Errorf("journal %s: %w", mac, err)
	}
	m.nodes[mac] = next
	if l := m.live[mac]; l != nil && to != "" {
		l.progress = nil
		l.moved = now
	}
	m.wake()
	return old.State, nil
}

// put marshals a value of this package, which never fails: all of them are plain structs.
func put(key string, v any) store.Op {
	b, err := json.Marshal(v)
	if err != nil {
		panic("racker: internal error: " + err.Error())
	}
	return store.Put(key, b)
}

// wake tells every waiter that something changed; the caller holds the lock.
func (m *Machine) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// changes gives a channel that is closed at the next change of anything.
func (m *Machine) changes() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// find names a node by any word that an operator may use, addresses included.
func (m *Machine) find(word string) (*rack.Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.rack.Find(word); n != nil {
		return n, nil
	}
	var found *rack.Node
	for _, n := range m.rack.Servers() {
		a, ok := m.plan.ByMAC(n.Primary)
		b, isBMC := m.plan.ByMAC(n.BMC)
		rec := m.nodes[n.Primary]
		fits := ok && a.Addr.String() == word || isBMC && b.Addr.String() == word ||
			rec != nil && rec.Identity != nil && rec.Identity.UUID != "" && strings.EqualFold(rec.Identity.UUID, word)
		if fits {
			found = n
			break
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%q: %w", word, ErrNoNode)
	}
	return found, nil
}
