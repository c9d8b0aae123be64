package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// States of a run.
const (
	runRunning   = "running"
	runDone      = "done"
	runFailed    = "failed"
	runCancelled = "cancelled"
)

var (
	// ErrBusy is matched when a run is in progress.
	ErrBusy = errors.New("a run is in progress")
	// ErrRequest is matched when a run's request cannot be carried out as it stands.
	ErrRequest = errors.New("cannot run this")
	// ErrNoRun is matched when a run's ID is not known.
	ErrNoRun = errors.New("no such run")
)

// runRecord is a run as the store keeps it.
type runRecord struct {
	ID      string         `json:"id"`
	State   string         `json:"state"`
	Request api.RunRequest `json:"request"`
	Image   string         `json:"image"` // ID
	Nodes   []rack.MAC     `json:"nodes"`
	// Checked is set when every BMC answered: from then on nodes are powered.
	Checked bool      `json:"checked"`
	Stop    bool      `json:"stop,omitempty"` // no node starts any more
	Skipped []string  `json:"skipped,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"`
	Code    int       `json:"code"`
}

func (r *runRecord) clone() *runRecord {
	c := *r
	c.Nodes, c.Skipped = slices.Clone(r.Nodes), slices.Clone(r.Skipped)
	return &c
}

// Submit checks a request, stores the run, and hands it to Run. Nothing is touched before it returns.
func (m *Machine) Submit(ctx context.Context, req api.RunRequest) (api.RunView, error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	if err := m.busy(); err != nil { // before nodes.csv is read again: a run keeps the rows that it began with
		return api.RunView{}, err
	}
	if err := m.Reload(ctx); err != nil {
		return api.RunView{}, err
	}
	run, err := m.plannedRun(ctx, req)
	if err != nil {
		return api.RunView{}, err
	}
	if err := m.admit(ctx, run); err != nil {
		return api.RunView{}, err
	}
	m.needs.Events.Publish(event.Event{Kind: event.RunChange, Run: run.ID, Message: "run " + run.ID + " began"})
	// There is room, since at most one run is open; a run that is stored must be driven even when the caller went.
	m.starts <- run.ID
	return m.RunView(run.ID)
}

func (m *Machine) plannedRun(ctx context.Context, req api.RunRequest) (*runRecord, error) {
	if req.Provision != "image" {
		return nil, fmt.Errorf("provision %q: this version provisions \"image\": %w", req.Provision, ErrRequest)
	}
	if req.OnFailure != "cancel" && req.OnFailure != "retry" {
		return nil, fmt.Errorf("onfailure %q: want cancel or retry: %w", req.OnFailure, ErrRequest)
	}
	if req.Retries < 0 || req.Retries > 100 {
		return nil, fmt.Errorf("retries %d: want 0 to 100: %w", req.Retries, ErrRequest)
	}
	man, err := m.needs.Images.Get(ctx, req.Image)
	if errors.Is(err, image.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", err, ErrRequest)
	}
	if err != nil {
		return nil, err
	}
	if _, err := m.cfg.Microkernel(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrRequest)
	}
	nodes, err := m.chosen(req)
	if err != nil {
		return nil, err
	}
	return &runRecord{
		ID: "run-" + strings.ToLower(rand.Text()[:8]), State: runRunning, Request: req, Image: man.ID, Nodes: nodes, Began: time.Now().UTC(),
	}, nil
}

// chosen resolves the request's words. The management node is never among them.
func (m *Machine) chosen(req api.RunRequest) ([]rack.MAC, error) {
	resolve := func(words []string) ([]rack.MAC, error) {
		var out []rack.MAC
		for _, w := range words {
			n, err := m.find(w)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", err, ErrRequest)
			}
			if n.Management {
				return nil, fmt.Errorf("%s is the management node, which no order may touch: %w", n.Where(), ErrRequest)
			}
			if !slices.Contains(out, n.Primary) { // two words may name one server
				out = append(out, n.Primary)
			}
		}
		return out, nil
	}
	nodes, err := resolve(req.Nodes)
	if err != nil {
		return nil, err
	}
	if len(req.Nodes) == 0 {
		for _, n := range m.Rack().Servers() {
			nodes = append(nodes, n.Primary)
		}
	}
	out, err := resolve(req.Exclude)
	if err != nil {
		return nil, err
	}
	nodes = slices.DeleteFunc(nodes, func(mac rack.MAC) bool {
		_, rec := m.node(mac)
		return rec == nil || rec.State == Excluded || slices.Contains(out, mac)
	})
	if len(nodes) == 0 {
		return nil, fmt.Errorf("no server is left to provision: %w", ErrRequest)
	}
	return nodes, nil
}

// busy gives an error that names the run in progress, nil when there is none.
func (m *Machine) busy() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.runs {
		if r.State == runRunning {
			return fmt.Errorf("%w: %s", ErrBusy, r.ID)
		}
	}
	return nil
}

// admit stores the run; the caller holds the lock of submits, and found no other run in progress.
func (m *Machine) admit(ctx context.Context, run *runRecord) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.store.Txn(ctx, nil, put(runKeys+run.ID, run)); err != nil {
		return fmt.Errorf("store run %s: %w", run.ID, err)
	}
	m.runs[run.ID] = run
	m.wake()
	return nil
}

// updateRun changes a run durably.
func (m *Machine) updateRun(ctx context.Context, id string, fn func(*runRecord)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.runs[id]
	if old == nil {
		return fmt.Errorf("%q: %w", id, ErrNoRun)
	}
	next := old.clone()
	fn(next)
	if _, err := m.store.Txn(ctx, nil, put(runKeys+id, next)); err != nil {
		return fmt.Errorf("store run %s: %w", id, err)
	}
	m.runs[id] = next
	m.wake()
	return nil
}

func (m *Machine) run(id string) *runRecord {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[id]; r != nil {
		return r.clone()
	}
	return nil
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

// Run drives the runs in progress, and those that are submitted, until ctx is done. A run that was cut short by the end of
// the process goes on at the next start.
func (m *Machine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	m.mu.Lock()
	for mac := range m.live {
		m.live[mac].moved = time.Now()
	}
	var open []string
	for id, r := range m.runs {
		if r.State == runRunning {
			open = append(open, id)
		}
	}
	m.mu.Unlock()
	for _, id := range open {
		g.Go(func() error { return m.carry(ctx, id) })
	}
	for {
		select {
		case <-ctx.Done():
			return g.Wait()
		case id := <-m.starts:
			if !slices.Contains(open, id) {
				g.Go(func() error { return m.carry(ctx, id) })
			}
		}
	}
}

// carry drives one run. What fails only because the process is stopping is no error: the run goes on at the next start.
func (m *Machine) carry(ctx context.Context, id string) error {
	err := m.drive(ctx, id)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// RemoveImage calls remove unless a run or a node needs the image; no run begins meanwhile.
func (m *Machine) RemoveImage(id string, remove func() error) error {
	m.submits.Lock()
	defer m.submits.Unlock()
	if err := m.ImageInUse(id); err != nil {
		return err
	}
	return remove()
}

// ImageInUse gives an error that names the run or the node which needs the image, nil when none does.
func (m *Machine) ImageInUse(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.runs {
		if r.State == runRunning && r.Image == id {
			return fmt.Errorf("image %s is in use by %s: %w", id, r.ID, ErrBusy)
		}
	}
	for _, r := range m.nodes {
		if r.Job != nil && r.Job.Image == id {
			return fmt.Errorf("image %s is in use by the order for %s: %w", id, r.MAC, ErrBusy)
		}
	}
	return nil
}
