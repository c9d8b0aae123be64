package provision

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// longPoll is how long a check-in without a job is held.
const longPoll = 25 * time.Second

// clockSlack is how far a node's clock may be off without a word about it.
const clockSlack = 5 * time.Minute

var errSecondKey = errors.New("a second key came with the boot token")

// CheckIn implements bootd.Agents: it redeems the boot token, checks who the machine is, and gives the job.
func (m *Machine) CheckIn(ctx context.Context, p bootd.Peer, in api.CheckIn) (api.Assignment, error) {
	n, rec := m.byAddr(p.Addr)
	var self rack.MAC
	if n != nil {
		self = n.Primary
	}
	if victim := m.leaked(in.Token, self); victim != nil {
		return api.Assignment{}, m.stolen(ctx, victim, p, "another machine presented its boot token")
	}
	if n == nil {
		return api.Assignment{}, fmt.Errorf("check-in from %s: %w", p.Addr, bootd.ErrUnknown)
	}
	m.heard(n.Primary)
	fresh, err := recognise(rec, p, in.Token)
	if fresh {
		err = m.redeem(ctx, n, rec.State, p, in)
	}
	switch {
	case errors.Is(err, errSecondKey):
		return api.Assignment{}, m.stolen(ctx, n, p, "a second key came with its boot token, which was redeemed")
	case err != nil:
		return api.Assignment{}, fmt.Errorf("%s: %w", n.Name, err)
	}
	if why := mismatch(m.Rack(), n, &in.Identity); why != "" {
		if err := m.fail(ctx, n.Primary, "this is not the machine of its row: "+why); err != nil {
			return api.Assignment{}, err
		}
	}
	if why := m.foreign(ctx, rec, &in.Identity); why != "" {
		if err := m.fail(ctx, n.Primary, why); err != nil {
			return api.Assignment{}, err
		}
	}
	return m.assign(ctx, n, p)
}

// recognise tells a first check-in (fresh) from a repeated one, and refuses all others.
func recognise(r *Record, p bootd.Peer, token string) (fresh bool, err error) {
	if s := r.Session; s != nil && same(s.Token, token) {
		if !same(s.Key, sessionKey(p)) {
			return false, errSecondKey
		}
		return false, nil
	}
	if r.Job == nil || !same(r.Job.Token.Given, token) {
		return false, bootd.ErrSession
	}
	return true, nil
}

// redeem binds the token to the peer's key and takes the node into the state agent, in one transaction: a machine that
// checked in is never left waiting by a crash in between.
func (m *Machine) redeem(ctx context.Context, n *rack.Node, at State, p bootd.Peer, in api.CheckIn) error {
	bind := func(r *Record) error {
		if fresh, err := recognise(r, p, in.Token); err != nil {
			return err // another key was faster
		} else if !fresh {
			return errStale
		}
		r.Session = &Session{Key: sessionKey(p), Token: in.Token}
		r.Job.Token.Given = ""
		// A machine that booted anew begins anew: what it wrote before is not trusted.
		r.Job.Next, r.Job.Shown = 0, nil
		id, hw := in.Identity, in.Hardware
		r.Identity, r.Hardware = &id, &hw
		r.Clock = ""
		if off := time.Since(in.Clock); off > clockSlack || off < -clockSlack {
			r.Clock = in.Clock.UTC().Format(time.RFC3339)
		}
		return nil
	}
	if err := bounded("the inventory of "+n.Name, maxInventory, [2]any{in.Identity, in.Hardware}); err != nil {
		return errors.Join(m.alarm(n, err.Error()), err)
	}
	m.note(n.Primary, event.Event{Kind: event.AgentStep, Message: fmt.Sprintf("the agent %s checked in (%s, %s)",
		in.Version, in.Identity.Firmware, in.Identity.Product)})
	if at == Agent || at == CheckingBMC || !at.underway() {
		// Rebooted in between, failed after its write began, or a run has just taken it in: then the microkernel waits.
		return m.update(ctx, n.Primary, bind)
	}
	return m.transition(ctx, n.Primary, Agent, bind)
}

func sessionKey(p bootd.Peer) string { return hex.EncodeToString(p.Key[:]) }

func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// assign gives the job, or holds the request until there is one.
func (m *Machine) assign(ctx context.Context, n *rack.Node, p bootd.Peer) (api.Assignment, error) {
	until := time.NewTimer(longPoll)
	defer until.Stop()
	for {
		e := m.entry(n.Primary)
		if e == nil || !m.Listed(n.Primary) {
			return api.Assignment{}, fmt.Errorf("%s: its row went: %w", n.Name, bootd.ErrUnknown)
		}
		changed := e.changed.next()
		rec := e.rec.Load()
		_, run := m.runAt(rec.Run)
		may, freed := m.mayWork(rec)
		if !may {
			select {
			case <-ctx.Done():
				return api.Assignment{Node: n.Name}, nil
			case <-until.C:
				return api.Assignment{Node: n.Name}, nil
			case <-changed:
			case <-run: // its disk may be confirmed
			case <-freed:
			}
			continue
		}
		if rec.Session == nil || !same(rec.Session.Key, sessionKey(p)) {
			return api.Assignment{}, fmt.Errorf("%s: %w", n.Name, bootd.ErrSession)
		}
		job, err := m.job(ctx, n, rec)
		return api.Assignment{Node: n.Name, Job: job}, err
	}
}

// mayWork reports whether the agent may begin, or go on. An install first shows its disks; then it waits until they are
// confirmed, and for an image stream. freed is closed when there may be one.
func (m *Machine) mayWork(rec *Record) (may bool, freed <-chan struct{}) {
	switch {
	case rec.Job == nil || rec.Job.Hold || rec.State != Agent && rec.State != Installing:
		return false, nil
	case rec.Job.Kind != api.JobInstall, rec.State == Agent && rec.Job.Shown == nil:
		return true, nil
	case m.asks(rec):
		m.queue(rec.MAC, true)
		return false, nil
	}
	return m.stream(rec.MAC)
}

// stream asks for an image stream for a node that may write. freed is closed when there may be one.
func (m *Machine) stream(mac rack.MAC) (may bool, freed <-chan struct{}) {
	may, freed = m.streams.ask(mac)
	if now := m.record(mac); now == nil || now.State != Agent && now.State != Installing {
		m.streams.release(mac) // it went on in between, and nobody else would give this back
		return false, freed
	}
	m.queue(mac, !may)
	return may, freed
}

func (m *Machine) job(ctx context.Context, n *rack.Node, rec *Record) (*api.Job, error) {
	job := &api.Job{
		ID: rec.Job.ID, Kind: rec.Job.Kind, Steps: rec.Job.Steps, Next: rec.Job.Next,
		Shown: rec.Job.Row, Expect: api.Expect{Where: n.Where(), PrimaryMAC: n.Primary.String(), BMCMAC: n.BMC.String(), Serial: n.Serial},
	}
	if rec.Job.Kind != api.JobInstall {
		return job, nil
	}
	man, err := m.needs.Images.Get(ctx, rec.Job.Image)
	if err != nil {
		return nil, fmt.Errorf("image of %s: %w", n.Name, err)
	}
	profile, err := m.needs.Images.Profile(ctx, man)
	if err != nil {
		return nil, fmt.Errorf("image of %s: %w", n.Name, err)
	}
	c, err := m.declared(ctx, n.Primary, rec.Job.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Where(), err)
	}
	var req api.RunRequest
	if r := m.run(rec.Run); r != nil {
		req = r.Request
	}
	job.Disk, job.Erase = diskOrder(n, rec, &req, c, man)
	job.Image = &api.Image{ID: man.ID, Name: man.Name, RawSize: man.RawSize, Data: bootd.AreaImages + "/" + man.ID + "/data.zst",
		OEMLabel: profile.OEMLabel, KernelFile: profile.Kernel.Name}
	return job, nil
}

// session finds the node and its job for a request within a session.
func (m *Machine) session(p bootd.Peer, job string) (*rack.Node, *Record, error) {
	n, rec := m.byAddr(p.Addr)
	if n == nil {
		return nil, nil, fmt.Errorf("from %s: %w", p.Addr, bootd.ErrUnknown)
	}
	if rec.Session == nil || !same(rec.Session.Key, sessionKey(p)) || job != "" && !rec.has(job) {
		return nil, nil, fmt.Errorf("%s: %w", n.Name, bootd.ErrSession)
	}
	return n, rec, nil
}

// has reports whether a job is the node's own: the armed one, or the one that made its install.
func (r *Record) has(job string) bool {
	if r.Job != nil {
		return r.Job.ID == job
	}
	return r.Done == job || r.Install != nil && r.Install.Job == job
}

// blob gives a blob of the node's job. own tells that the request came within the session of the node's agent.
func (m *Machine) blob(ctx context.Context, p bootd.Peer, job, name string) (b []byte, own bool, err error) {
	n, rec, err := m.session(p, job)
	if err != nil {
		return nil, false, err
	}
	if rec.Job == nil || rec.Job.Kind != api.JobInstall {
		return nil, true, fmt.Errorf("%s has no job with blobs: %w", n.Name, bootd.ErrSession)
	}
	if rec.State != Agent && rec.State != Installing {
		return nil, true, fmt.Errorf("%s is %s: %w", n.Name, rec.State, bootd.ErrSession)
	}
	if at := slices.Index(rec.Job.Steps, api.StepIgnition); name == api.BlobIgnition && rec.Job.Next > at {
		return nil, false, fmt.Errorf("the Ignition step of %s is done: %w", n.Name, bootd.ErrSession)
	}
	man, err := m.needs.Images.Get(ctx, rec.Job.Image)
	if err != nil {
		return nil, true, fmt.Errorf("image of %s: %w", n.Name, err)
	}
	switch name {
	case api.BlobManifest:
		b, err = json.Marshal(man)
		return b, true, err
	case api.BlobKernel:
		b, err = m.kernelConfig(ctx, n, rec.Job, man)
		return b, true, err
	case api.BlobIgnition:
		b, err = m.handOut(ctx, n, rec, man, p)
		return b, true, err
	}
	return nil, true, fmt.Errorf("blob %q: %w", name, bootd.ErrUnknown)
}

// Log implements bootd.Agents: the lines go to the node's log.
func (m *Machine) Log(_ context.Context, p bootd.Peer, lines []byte) error {
	n, _, err := m.session(p, "")
	if err != nil {
		return err
	}
	m.heard(n.Primary)
	return m.logs.append(n.Name, lines)
}
