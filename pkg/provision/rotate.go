package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/remote"
)

const (
	// rotateAtOnce is how many nodes get the new key at a time.
	rotateAtOnce = 32
	// rotateTime bounds what is done on one node.
	rotateTime = time.Minute
)

// rotation is the one rotation that may be under way, and why nodes were left by the last pass of this process.
type rotation struct {
	turn sync.Mutex // held while nodes are gone through

	mu   sync.Mutex
	left map[rack.MAC]string
}

func (r *rotation) leave(mac rack.MAC, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == nil {
		r.left = map[rack.MAC]string{}
	}
	r.left[mac] = why
}

func (r *rotation) why(mac rack.MAC) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left[mac]
}

// Key tells of racker's own SSH key.
func (m *Machine) Key(ctx context.Context) (api.KeyView, error) {
	own, err := m.keys.own(ctx)
	if err != nil {
		return api.KeyView{}, err
	}
	v := api.KeyView{Key: own.Current.line(), Fingerprint: own.Current.fingerprint(), Made: own.Current.Made}
	if own.Next == nil {
		return v, nil
	}
	v.Next = &api.KeyNext{
		Key: own.Next.line(), Fingerprint: own.Next.fingerprint(), Made: own.Next.Made, Running: own.Running, Left: []api.KeyLeft{},
	}
	for _, n := range m.reachable() {
		if m.rotated(n.Primary, v.Next.Fingerprint) {
			v.Next.Done++
		} else {
			v.Next.Left = append(v.Next.Left, api.KeyLeft{Node: n.Name, Why: m.rotation.why(n.Primary)})
		}
	}
	return v, nil
}

// rotated reports whether a node has the new key, and nothing brings it the old one.
func (m *Machine) rotated(mac rack.MAC, next string) bool {
	rec := m.record(mac)
	if rec == nil {
		return true // its row went
	}
	on, coming := rec.rackKeys()
	return (on == next || on == "") && (coming == next || coming == "")
}

// RotateKey makes a new key of racker's, or goes on with the one that was made: each installed node gets it, proves that it takes
// it, and loses the old one. The old one stays racker's until no node is left that needs it. While another call is at it the error
// is an *api.Error.
func (m *Machine) RotateKey(ctx context.Context) (api.KeyRotation, error) {
	if !m.rotation.turn.TryLock() {
		return api.KeyRotation{}, &api.Error{
			Message: "racker's SSH key is being rotated by another order", Hint: "ask again when that is done", Code: 1, Status: http.StatusConflict,
		}
	}
	defer m.rotation.turn.Unlock()
	own, err := m.keys.change(ctx, func(r *rackKeys) error {
		if r.Next == nil {
			next, err := newSSHKey()
			if err != nil {
				return err
			}
			r.Next = &next
		}
		r.Running = true
		return nil
	})
	if err != nil {
		return api.KeyRotation{}, err
	}
	m.say(event.Event{Kind: event.RunChange, Message: "racker's SSH key: " + own.Next.fingerprint() + " takes over from " + own.Current.fingerprint()})
	m.rotateAll(ctx, own)
	if ctx.Err() != nil { // the daemon ends: the next one goes on
		return api.KeyRotation{}, ctx.Err()
	}
	return m.rotationOver(ctx, own)
}

// rotationOver takes the new key for racker's own when no node is left, and tells what became of the rotation.
func (m *Machine) rotationOver(ctx context.Context, own rackKeys) (api.KeyRotation, error) {
	before, err := m.Key(ctx)
	if err != nil {
		return api.KeyRotation{}, err
	}
	out := api.KeyRotation{Done: before.Next.Done, Left: before.Next.Left}
	_, err = m.keys.change(ctx, func(r *rackKeys) error {
		r.Running = false
		if len(out.Left) == 0 {
			r.Current, r.Next = *own.Next, nil
		}
		return nil
	})
	if err != nil {
		return api.KeyRotation{}, err
	}
	text := "racker's SSH key is " + own.Next.fingerprint() + " now"
	if len(out.Left) > 0 {
		out.Code = codeSomeLeft
		text = fmt.Sprintf("racker's SSH key: %d nodes still take the old one", len(out.Left))
	}
	m.say(event.Event{Kind: event.RunChange, Message: text})
	out.Key, err = m.Key(ctx)
	return out, err
}

// say publishes an event that is of no node.
func (m *Machine) say(e event.Event) { m.needs.Events.Publish(e) }

// KeepRotating goes on with a rotation that a killed daemon left, and returns when ctx is done.
func (m *Machine) KeepRotating(ctx context.Context) error {
	own, err := m.keys.own(ctx)
	if err != nil {
		return err
	}
	if own.Next != nil && own.Running {
		if _, err := m.RotateKey(ctx); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "rotation of racker's SSH key not gone on with", "err", err)
		}
	}
	<-ctx.Done()
	return nil
}

// rotateAll gives every node that needs it the new key.
func (m *Machine) rotateAll(ctx context.Context, own rackKeys) {
	next := own.Next.fingerprint()
	var g errgroup.Group
	g.SetLimit(rotateAtOnce)
	for _, n := range m.reachable() {
		if m.rotated(n.Primary, next) || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			m.rotation.leave(n.Primary, m.rotateOn(ctx, n, own))
			return nil
		})
	}
	_ = g.Wait() // each says for itself what went wrong
}

// rotateOn gives one node the new key, and says why that did not work; empty when it did.
func (m *Machine) rotateOn(ctx context.Context, n *rack.Node, own rackKeys) string {
	_, rec, release, err := m.reserve(n.Primary.String(), "rotation of racker's SSH key") // an apply changes the same files
	if err != nil {
		return sentence(err.Error())
	}
	defer release()
	if on, coming := rec.rackKeys(); on == "" || coming != "" || rec.Job != nil {
		return "it is being installed"
	}
	a, ok := m.Assigned(n.Primary)
	if !ok {
		return "it has no address"
	}
	ctx, cancel := context.WithTimeout(ctx, rotateTime)
	defer cancel()
	if err := m.reach.rotate(ctx, n, a.Addr, own); err != nil {
		return sentence(err.Error())
	}
	err = m.update(ctx, n.Primary, func(r *Record) error {
		if r.Install == nil || r.Job != nil {
			return errStale
		}
		r.Install.RackKey = own.Next.fingerprint()
		return nil
	})
	if err != nil {
		return sentence(err.Error())
	}
	m.note(n.Primary, event.Event{Kind: event.RunChange, Message: "it takes racker's new SSH key, and not the old one"})
	return ""
}

// errOldKey is matched when a node takes a key that was taken from it.
var errOldKey = errors.New("the old key was removed from core's authorized_keys, and is taken nevertheless")

// rotate adds the new key, proves it by logging in with it alone, removes the old one, and proves that too. It may be repeated
// from anywhere.
func (r *Reach) rotate(ctx context.Context, n *rack.Node, addr netip.Addr, own rackKeys) error {
	change := func(script string, keys ...sshKey) error {
		c, err := r.dial(ctx, n, addr, keys...)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }() // what it was for is done, or has failed
		out, err := c.Run(ctx, remote.Script{Text: script})
		if err == nil && out.ExitCode != 0 {
			err = fmt.Errorf("change the keys of core on %s: exit code %d: %s", n.Name, out.ExitCode, lastLine(out.Stderr))
		}
		return err
	}
	if err := change(addKey(own.Current, *own.Next), own.all()...); err != nil {
		return err
	}
	if err := change(removeKey(own.Current), *own.Next); err != nil {
		return err
	}
	c, err := r.dial(ctx, n, addr, *own.Next) // that the old key fails proves nothing if neither is taken
	if err != nil {
		return err
	}
	_ = c.Close()
	c, err = r.dial(ctx, n, addr, own.Current)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%s: %w", n.Name, errOldKey)
	}
	if errors.Is(err, remote.ErrAuth) {
		return nil
	}
	return err
}
