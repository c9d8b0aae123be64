package provision

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// callbackURL is the prefix of a node's signals; the signal's name follows.
func (m *Machine) callbackURL(n *rack.Node) string {
	s := m.site()
	return "https://" + netip.AddrPortFrom(s.server, uint16(s.httpsPort)).String() + api.CallbackPath + n.Name + "/"
}

// Callback implements bootd.Callbacks. The same signal may come again.
func (m *Machine) Callback(ctx context.Context, from netip.Addr, node, signal, token string, body api.Callback) error {
	n, err := m.find(node)
	if err != nil {
		return fmt.Errorf("callback of %q from %s: %w", node, from, bootd.ErrUnknown)
	}
	_, rec := m.node(n.Primary)
	if rec == nil || rec.Install == nil || !same(rec.Install.Callback, token) && !rec.renews(token) {
		return fmt.Errorf("callback of %s from %s: %w", n.Name, from, bootd.ErrSession)
	}
	switch signal {
	case api.SignalReady:
		return m.ready(ctx, n, rec, token, body)
	case api.SignalFail:
		m.note(n.Primary, event.Event{Kind: event.Callback, Message: "the installed system says that it failed: " + body.Reason})
		if rec.State == Installed || rec.State == Booted {
			if err := m.fail(ctx, n.Primary, "the installed system says: "+body.Reason); err != nil {
				return err
			}
		}
		return m.logs.append(n.Name, []byte(body.LogTail))
	}
	return fmt.Errorf("signal %q of %s: %w", signal, n.Name, bootd.ErrUnknown)
}

// renews reports whether a token is that of a new root file system which was ordered.
func (r *Record) renews(token string) bool {
	return r.Install.Renew != nil && same(r.Install.Renew.Token, token)
}

func (m *Machine) ready(ctx context.Context, n *rack.Node, rec *Record, token string, body api.Callback) error {
	body.LogTail = "" // it is the node's log's
	if err := bounded("the callback of "+n.Name, maxInventory, body); err != nil {
		return err
	}
	keep := func(r *Record) error {
		r.Callback = &body
		if r.Install != nil && r.renews(token) {
			r.Install.renewed()
		}
		if r.State == Ready { // elsewhere it is an earlier install's late word, of which the node's run knows nothing
			return served(r)
		}
		return nil
	}
	m.note(n.Primary, event.Event{Kind: event.Callback, Message: "the installed system called back as " + body.HostName, Run: rec.Run})
	if rec.State == Installed || rec.State == Booted || rec.late() || rec.tooLateToRetry() {
		return m.transition(ctx, n.Primary, Ready, keep)
	}
	return m.update(ctx, n.Primary, keep)
}

// tooLateToRetry reports whether the node waits for its next attempt, though its install only now says that it is well.
func (r *Record) tooLateToRetry() bool {
	return r.State == CheckingBMC && r.Tries > 1 && r.Install != nil && r.Install.Complete && r.Callback == nil
}

// late reports whether the node is failed only because its installed system was slow to call back.
func (r *Record) late() bool {
	waited := r.Step == string(Installed) || r.Step == string(Booted)
	return r.State == Failed && waited && r.Job == nil && r.Install != nil && r.Install.Complete
}
