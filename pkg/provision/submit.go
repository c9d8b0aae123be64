package provision

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// Submit checks a request, stores the run, and hands it to Run. Nothing is touched before it returns. A request for what
// is already so makes no run: its view has Changed false. Errors match ErrRequest, or ErrBusy when a node has an order.
func (m *Machine) Submit(ctx context.Context, req api.RunRequest) (api.RunView, error) {
	m.submits.Lock()
	defer m.submits.Unlock()
	if len(m.open()) == 0 { // a run keeps the rows that it began with
		if err := m.Reload(ctx); err != nil {
			return api.RunView{}, err
		}
	}
	r, err := m.planned(ctx, req)
	if err != nil {
		return api.RunView{}, err
	}
	if m.already(r) {
		return m.unchanged(r), nil
	}
	if err := m.free(r.Nodes); err != nil {
		return api.RunView{}, err
	}
	if err := m.admit(ctx, r); err != nil {
		return api.RunView{}, err
	}
	return m.RunView(r.ID)
}

func newRunID() string { return "run-" + strings.ToLower(rand.Text()[:8]) }

func (m *Machine) planned(ctx context.Context, req api.RunRequest) (*runRecord, error) {
	if err := sane(req); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrRequest)
	}
	r := &runRecord{ID: newRunID(), State: runRunning, Request: req, Began: time.Now().UTC()}
	if installs(req.Provision) {
		man, err := m.needs.Images.Get(ctx, req.Image)
		if errors.Is(err, image.ErrNotFound) {
			return nil, fmt.Errorf("%w: %w", err, ErrRequest)
		}
		if err != nil {
			return nil, err
		}
		if err := m.kind(ctx, r, man); err != nil {
			return nil, fmt.Errorf("%w: %w", err, ErrRequest)
		}
		r.Image = man.ID
	}
	if req.Provision != provisionDisk {
		if _, err := m.cfg.Microkernel(); err != nil {
			return nil, fmt.Errorf("%w: %w", err, ErrRequest)
		}
	}
	var err error
	if r.Nodes, err = m.chosen(req); err != nil {
		return nil, err
	}
	if err := m.bootable(r); err != nil {
		return nil, err
	}
	if req.MinReady > len(r.Nodes) {
		return nil, fmt.Errorf("min-ready %d: the run has %d servers: %w", req.MinReady, len(r.Nodes), ErrRequest)
	}
	return r, m.configure(ctx, r)
}

// bootable refuses to boot what a write was cut off on: only an install helps such a disk.
func (m *Machine) bootable(r *runRecord) error {
	if installs(r.Request.Provision) {
		return nil
	}
	for _, mac := range r.Nodes {
		n, rec := m.node(mac)
		if n != nil && (rec.Install != nil && !rec.Install.Complete || rec.Job != nil && rec.Job.Began) {
			return fmt.Errorf("the disk of %s is half written; reprovision it: %w", n.Where(), ErrRequest)
		}
	}
	return nil
}

// sane finds what no rack could do.
func sane(req api.RunRequest) error {
	provisions := []string{provisionImage, provisionFlatcar, provisionInventory, provisionDisk}
	policies := []string{api.OnFailureAsk, api.OnFailureRetry, api.OnFailureExclude, api.OnFailureCancel}
	switch {
	case !slices.Contains(provisions, req.Provision):
		return fmt.Errorf("provision %q: this version provisions \"flatcar\" and \"image\"", req.Provision)
	case !slices.Contains(policies, req.OnFailure):
		return fmt.Errorf("onfailure %q: want one of %s", req.OnFailure, strings.Join(policies, ", "))
	case req.Retries < 0 || req.Retries > 100:
		return fmt.Errorf("retries %d: want 0 to 100", req.Retries)
	case !slices.Contains([]string{api.CanaryAuto, api.CanaryOn, api.CanaryOff}, req.Canary):
		return fmt.Errorf("canary %q: want on, off or nothing", req.Canary)
	case req.StopAt != "" && req.StopAt != api.StopAtAgent:
		return fmt.Errorf("stop-at %q: want agent", req.StopAt)
	case req.StopAt != "" && !installs(req.Provision):
		return fmt.Errorf("stop-at %s: there is no write to stop at", req.StopAt)
	case req.Erase != api.EraseAsk && req.Erase != api.EraseExact:
		return fmt.Errorf("erase %q: want exact or nothing", req.Erase)
	case !req.NotAfter.IsZero() && !req.NotAfter.After(time.Now()):
		return fmt.Errorf("not-after %s: that is over", req.NotAfter.Format(time.RFC3339))
	case req.MinReady < 0:
		return fmt.Errorf("min-ready %d: want 0 or more", req.MinReady)
	}
	return saneConfigs(req)
}

// spec is the digest of what a node is to become; config is that of its declared config, empty without one.
func spec(image string, keys []string, config string) string {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	what := []any{provisionImage, image, slices.Compact(keys)}
	if config != "" {
		what = append(what, config)
	}
	b, _ := json.Marshal(what) // strings always have a JSON form
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// already reports whether every node of the run is what it would make of it.
func (m *Machine) already(r *runRecord) bool {
	if !installs(r.Request.Provision) || r.Request.StopAt != "" {
		return false
	}
	return !slices.ContainsFunc(r.Nodes, func(mac rack.MAC) bool {
		rec := m.record(mac)
		return rec == nil || rec.State != Ready || rec.Install == nil || rec.Install.Spec != r.specOf(mac)
	})
}

// unchanged is the view of a run that is not needed.
func (m *Machine) unchanged(r *runRecord) api.RunView {
	v := api.RunView{
		State: runDone, Image: r.Image, Began: r.Began, Ended: r.Began, Request: r.Request,
		Reason: "all of it is so already", Nodes: []api.NodeView{}, Stages: []api.Stage{},
	}
	for _, mac := range r.Nodes {
		if n, rec := m.node(mac); n != nil {
			v.ID = rec.Run
			v.Nodes = append(v.Nodes, m.view(n))
		}
	}
	return v
}

// chosen resolves the request's words. The management node is never among them.
func (m *Machine) chosen(req api.RunRequest) ([]rack.MAC, error) {
	nodes, err := m.resolve(req.Nodes)
	if err != nil {
		return nil, err
	}
	if len(req.Nodes) == 0 {
		for _, n := range m.inForce().list {
			nodes = append(nodes, n.Primary)
		}
	}
	out, err := m.resolve(req.Exclude)
	if err != nil {
		return nil, err
	}
	without := make(map[rack.MAC]bool, len(out))
	for _, mac := range out {
		without[mac] = true
	}
	nodes = slices.DeleteFunc(nodes, func(mac rack.MAC) bool {
		rec := m.record(mac)
		return rec == nil || rec.State == Excluded || without[mac]
	})
	if len(nodes) == 0 {
		return nil, fmt.Errorf("no server is left to provision: %w", ErrRequest)
	}
	return nodes, nil
}

// resolve finds the servers that words name, each once.
func (m *Machine) resolve(words []string) ([]rack.MAC, error) {
	var out []rack.MAC
	seen := make(map[rack.MAC]bool, len(words))
	for _, w := range words {
		n, err := m.server(w)
		if err != nil {
			return nil, err
		}
		if !seen[n.Primary] { // two words may name one server
			seen[n.Primary] = true
			out = append(out, n.Primary)
		}
	}
	return out, nil
}

// server finds the server that a word names. The management node is none.
func (m *Machine) server(word string) (*rack.Node, error) {
	n, err := m.find(word)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrRequest)
	}
	if n.Management {
		return nil, fmt.Errorf("%s is the management node, which no order may touch: %w", n.Where(), ErrRequest)
	}
	return n, nil
}

// free gives an error that names the order which a node has already, nil when none of them has one.
func (m *Machine) free(nodes []rack.MAC) error {
	for _, mac := range nodes {
		if n, _ := m.node(mac); m.ordered[mac] != "" && n != nil {
			return fmt.Errorf("%w: %s has the order %s", ErrBusy, n.Where(), m.ordered[mac])
		}
	}
	for _, r := range m.open() {
		in := make(map[rack.MAC]bool, len(r.Nodes))
		for _, mac := range r.Nodes {
			in[mac] = true
		}
		for _, mac := range nodes {
			if n, _ := m.node(mac); in[mac] && n != nil {
				return fmt.Errorf("%w: %s has the order %s", ErrBusy, n.Where(), r.ID)
			}
		}
	}
	return nil
}

// admit stores the run and has it driven; the caller holds the lock of submits.
func (m *Machine) admit(ctx context.Context, r *runRecord) error {
	if err := m.save(context.WithoutCancel(ctx), runKeys+r.ID, r); err != nil {
		return fmt.Errorf("store run %s: %w", r.ID, err)
	}
	m.mu.Lock()
	m.runs[r.ID] = newRun(r)
	m.mu.Unlock()
	m.any.fire()
	m.published(r.ID, "began")
	select {
	case m.kick <- struct{}{}:
	default: // Run has been told already
	}
	return nil
}
