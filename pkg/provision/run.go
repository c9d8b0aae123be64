package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// States of a run.
const (
	runRunning   = "running"
	runDone      = "done"
	runFailed    = "failed"
	runCancelled = "cancelled"
)

// What a run does with its nodes (api.RunRequest.Provision).
const (
	provisionImage     = "image"
	provisionFlatcar   = "flatcar"         // an image with a declared config for each node
	provisionInventory = api.BootInventory // once into the microkernel, and back
	provisionDisk      = api.BootDisk      // power cycle into what is installed
	provisionApply     = "apply"           // a config onto a running node
	provisionUpgrade   = "os-upgrade"      // another version of the OS onto a running node
)

var (
	// ErrBusy is matched when another order holds what is asked for.
	ErrBusy = errors.New("a run is in progress")
	// ErrRequest is matched when a run's request cannot be carried out as it stands.
	ErrRequest = errors.New("cannot run this")
	// ErrNoRun is matched when a run's ID is not known.
	ErrNoRun = errors.New("no such run")
	// ErrNotAsked is matched by an answer to a question that is not open.
	ErrNotAsked = errors.New("nobody asks that")
)

// runRecord is a run as the store keeps it. It is never changed in place.
type runRecord struct {
	ID      string         `json:"id"`
	State   string         `json:"state"`
	Request api.RunRequest `json:"request"`
	Image   string         `json:"image,omitempty"` // ID
	// Images has the ID for each node that its declared config gives another image.
	Images map[rack.MAC]string `json:"images,omitempty"`
	// Plain has the IDs of those images of the run that take no Ignition.
	Plain []string `json:"plain,omitempty"`
	// Configs has the digest of the declared config of each node that has one.
	Configs map[rack.MAC]string `json:"configs,omitempty"`
	Nodes   []rack.MAC          `json:"nodes"`
	// Checked is set when every BMC answered: from then on nodes are powered.
	Checked bool `json:"checked"`
	// Apply is set for a run that changes one running node.
	Apply *applying `json:"apply,omitempty"`
	// Canary are the nodes that go first; CanaryOK is set when all of them are ready.
	Canary   []rack.MAC `json:"canary,omitempty"`
	CanaryOK bool       `json:"canary_ok,omitempty"`
	// Asked are the questions that are open, or answered and not acted upon yet.
	Asked map[rack.MAC]asked `json:"asked,omitempty"`
	// Allowed are the disks that somebody confirmed to be erased, Out the nodes that were left out then.
	Allowed map[rack.MAC]erasure `json:"allowed,omitempty"`
	Out     []rack.MAC           `json:"out,omitempty"`
	Stop    bool                 `json:"stop,omitempty"` // no node starts any more
	Skipped []string             `json:"skipped,omitempty"`
	Reason  string               `json:"reason,omitempty"`
	Began   time.Time            `json:"began"`
	Ended   time.Time            `json:"ended,omitzero"`
	Code    int                  `json:"code"`
}

// asked is a question about an attempt at a node that failed, with its answer once there is one.
type asked struct {
	At     time.Time `json:"at"`
	Tries  int       `json:"tries"` // Record.Tries of the attempt; an answer holds for no other
	Answer string    `json:"answer,omitempty"`
}

func (r *runRecord) clone() *runRecord {
	c := *r
	c.Nodes, c.Skipped, c.Canary = slices.Clone(r.Nodes), slices.Clone(r.Skipped), slices.Clone(r.Canary)
	c.Asked = make(map[rack.MAC]asked, len(r.Asked))
	for mac, a := range r.Asked {
		c.Asked[mac] = a
	}
	if r.Apply != nil {
		a := *r.Apply
		c.Apply = &a
	}
	c.Out, c.Allowed = slices.Clone(r.Out), make(map[rack.MAC]erasure, len(r.Allowed))
	for mac, a := range r.Allowed {
		c.Allowed[mac] = a
	}
	return &c
}

// run is a run that this process knows.
type run struct {
	turn    sync.Mutex // held by whoever writes the record, until it is durable
	rec     atomic.Pointer[runRecord]
	changed signal
	driven  bool // guarded by Machine.mu
}

func newRun(r *runRecord) *run {
	out := &run{}
	out.rec.Store(r)
	return out
}

// updateRun changes a run durably.
func (m *Machine) updateRun(ctx context.Context, id string, fn func(*runRecord)) error {
	return m.changeRun(ctx, id, func(r *runRecord) error {
		fn(r)
		return nil
	})
}

func (m *Machine) changeRun(ctx context.Context, id string, fn func(*runRecord) error) error {
	m.mu.RLock()
	at := m.runs[id]
	m.mu.RUnlock()
	if at == nil {
		return fmt.Errorf("%q: %w", id, ErrNoRun)
	}
	at.turn.Lock()
	defer at.turn.Unlock()
	next := at.rec.Load().clone()
	if err := fn(next); err != nil {
		return err
	}
	if err := m.save(context.WithoutCancel(ctx), runKeys+id, next); err != nil {
		m.unwritable(err)
		return fmt.Errorf("store run %s: %w", id, err)
	}
	at.rec.Store(next)
	at.changed.fire()
	m.any.fire()
	return nil
}

// runAt gives a run and a channel that is closed when it changes; nil for an ID that is not known.
func (m *Machine) runAt(id string) (*runRecord, <-chan struct{}) {
	m.mu.RLock()
	at := m.runs[id]
	m.mu.RUnlock()
	if at == nil {
		return nil, nil
	}
	changed := at.changed.next()
	return at.rec.Load(), changed
}

func (m *Machine) run(id string) *runRecord {
	r, _ := m.runAt(id)
	return r
}

// open gives the runs in progress.
func (m *Machine) open() []*runRecord {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []*runRecord
	for _, at := range m.runs {
		if r := at.rec.Load(); r.State == runRunning {
			out = append(out, r)
		}
	}
	return out
}

// Cancel stops a run: no node starts any more, those whose disk is being written go on to their end.
func (m *Machine) Cancel(ctx context.Context, id string) (api.RunView, error) {
	err := m.updateRun(ctx, id, func(r *runRecord) {
		if r.State == runRunning && !r.Stop {
			r.Stop, r.Reason = true, "cancelled by the operator"
		}
	})
	if err != nil {
		return api.RunView{}, err
	}
	return m.RunView(id)
}

// keptRuns is how many runs that are over are remembered, with their journal.
const keptRuns = 50

// trim forgets the oldest runs that are over.
func (m *Machine) trim(ctx context.Context) error {
	m.mu.RLock()
	var over []*runRecord
	for _, at := range m.runs {
		if r := at.rec.Load(); r.State != runRunning {
			over = append(over, r)
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(over, func(a, b *runRecord) int { return b.Ended.Compare(a.Ended) })
	for _, r := range over[min(keptRuns, len(over)):] {
		kvs, err := m.store.List(ctx, journalPrefix(r.ID))
		if err != nil {
			return fmt.Errorf("forget run %s: %w", r.ID, err)
		}
		ops := []store.Op{store.Delete(runKeys + r.ID)}
		for _, kv := range kvs {
			ops = append(ops, store.Delete(kv.Key))
		}
		if _, err := m.store.Txn(ctx, nil, ops...); err != nil {
			return fmt.Errorf("forget run %s: %w", r.ID, err)
		}
		m.mu.Lock()
		delete(m.runs, r.ID)
		m.mu.Unlock()
	}
	return nil
}

// published tells who follows that a run changed.
func (m *Machine) published(id, text string) {
	m.needs.Events.Publish(event.Event{Kind: event.RunChange, Run: id, Message: "run " + id + " " + text})
}
