package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// handOut renders the Ignition config of a node for its agent. To whom what is given is on record before it leaves; what
// cannot be put there is not given.
func (m *Machine) handOut(ctx context.Context, n *rack.Node, rec *Record, man *image.Manifest, p bootd.Peer) ([]byte, error) {
	own, err := m.keys.own(ctx)
	if err != nil {
		return nil, err
	}
	_, names := m.clusterHosts() // first: a change in between is told once too often
	config, err := m.ignition(ctx, n, rec.Job, man)
	if err != nil {
		return nil, err
	}
	key := own.given().fingerprint()
	err = m.update(ctx, n.Primary, func(r *Record) error {
		now, err := m.keys.own(ctx)
		switch {
		case err != nil:
			return err
		case r.Job == nil || r.Job.ID != rec.Job.ID || r.Session == nil || !same(r.Session.Key, sessionKey(p)),
			now.given().fingerprint() != key: // rotated in this moment: the agent asks again
			return errStale
		}
		r.Job.RackKey, r.Job.Names = key, names
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	sum := sha256.Sum256(config)
	digest := hex.EncodeToString(sum[:])
	if m.needs.Audit != nil {
		_, err := m.needs.Audit.Append(api.AuditEntry{
			UID: os.Geteuid(), Plan: digest, Result: api.AuditOK, Run: rec.Run,
			Order: fmt.Sprintf("gave Ignition config to %s (%s) at %s, agent key %s", n.Name, n.Primary, p.Addr, sessionKey(p)),
		})
		if err != nil {
			return nil, fmt.Errorf("the Ignition config of %s is not given out, since the audit cannot be written: %w", n.Name, err)
		}
	}
	m.note(n.Primary, event.Event{Kind: event.AgentStep, Message: "its Ignition config " + digest[:12] + " was given to its agent"})
	return config, nil
}

// Blob implements bootd.Agents. A request for an Ignition config that is not the armed agent's own is refused and raises an
// alarm; one of an agent whose order was taken back in this moment is only refused.
func (m *Machine) Blob(ctx context.Context, p bootd.Peer, job, name string) ([]byte, error) {
	b, own, err := m.blob(ctx, p, job, name)
	if err == nil || own || name != api.BlobIgnition {
		return b, err
	}
	n, _ := m.byAddr(p.Addr)
	if n == nil {
		n = m.withJob(job)
	}
	if n == nil {
		m.needs.Events.Publish(event.Event{Kind: event.Unknown, Message: "an unknown machine asked for an Ignition config",
			Fields: map[string]string{event.KeyIP: p.Addr.String()}})
		return nil, err
	}
	return nil, errors.Join(m.alarm(n, "its Ignition config was asked for without its agent's session, from "+p.Addr.String()), err)
}

// withJob finds the server that has a job.
func (m *Machine) withJob(job string) *rack.Node {
	for _, n := range m.inForce().list {
		if rec := m.record(n.Primary); job != "" && rec != nil && rec.has(job) {
			return n
		}
	}
	return nil
}

// Stray implements bootd.Strays: somebody asked for a secret where none is.
func (m *Machine) Stray(_ context.Context, from netip.Addr, path string) {
	if n, _ := m.byAddr(from); n != nil {
		_ = m.alarm(n, "asked for "+path+" in clear, where racker has no secrets") // the request is refused already
		return
	}
	m.needs.Events.Publish(event.Event{Kind: event.Unknown, Message: "an unknown machine asked for " + path + " in clear",
		Fields: map[string]string{event.KeyIP: from.String()}})
}
