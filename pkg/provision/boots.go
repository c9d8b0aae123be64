package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// secret makes a token of 128 random bits or more.
func secret() string { return rand.Text() }

// NetworkBoot hears that racker's DHCP answered a node that boots over the network by iPXE. Each such boot opens the way
// to one new token.
func (m *Machine) NetworkBoot(ctx context.Context, mac rack.MAC) error {
	if rec := m.record(mac); rec == nil || rec.Job == nil {
		return nil // there is no token to give: it boots its disk
	}
	return m.update(ctx, mac, func(r *Record) error {
		if r.Job != nil {
			r.Job.Token.Next = secret()
		}
		return nil
	})
}

// SystemBoot hears that a node's installed system asked for an address.
func (m *Machine) SystemBoot(ctx context.Context, mac rack.MAC) error {
	_, rec := m.node(mac)
	if rec == nil || rec.State != Installed && !m.bootsDisk(rec) {
		return nil
	}
	err := m.transition(ctx, mac, Booted, nil)
	if err == nil && rec.settled() {
		err = m.transition(ctx, mac, Ready, served)
	}
	if errors.Is(err, errStale) { // the same news came from elsewhere
		return nil
	}
	return err
}

// bootsDisk reports whether the node is being powered into its installed system, and was switched on already.
func (m *Machine) bootsDisk(rec *Record) bool {
	if rec.State != Powering || rec.Job != nil || rec.Install == nil {
		return false
	}
	l := m.known(rec.MAC)
	return l.powered.After(l.moved)
}

// byAddr finds the server whose reservation addr is.
func (m *Machine) byAddr(addr netip.Addr) (*rack.Node, *Record) {
	a, ok := m.AssignedAt(addr)
	if !ok {
		return nil, nil
	}
	return m.node(a.MAC)
}

// BootScript implements bootd.Boots.
func (m *Machine) BootScript(ctx context.Context, q bootd.BootQuery) (string, error) {
	n, rec := m.byAddr(q.From)
	if n == nil {
		m.needs.Events.Publish(event.Event{Kind: event.Unknown, Message: "an unknown machine asked for a boot script",
			Fields: map[string]string{"mac": q.MAC.String(), "ip": q.From.String()}})
		if victim, rec := m.node(q.MAC); victim != nil && rec.Job != nil {
			return "", errors.Join(m.alarm(victim, "its boot token was asked for from "+q.From.String()), bootd.ErrUnknown)
		}
		return "", fmt.Errorf("boot of %s: %w", q.MAC, bootd.ErrUnknown)
	}
	s := m.site()
	kind := answer(rec)
	m.note(n.Primary, event.Event{Kind: event.BootAnswer, Message: fmt.Sprintf("network boot (%s): answered %s", q.Platform, kind),
		Fields: map[string]string{"ip": q.From.String(), "state": string(rec.State)}})
	if kind == bootDisk {
		esp := ""
		if rec.Install != nil {
			esp = rec.Install.ESP
		}
		return s.diskScript(q.Platform, esp)
	}
	if q.MAC != n.Primary {
		return "", m.alarm(n, fmt.Sprintf("a machine that says it is %s asked for its boot token", q.MAC))
	}
	seen, err := m.needs.Neighbours.Neighbour(ctx, q.From)
	if err != nil {
		return "", fmt.Errorf("who is behind %s: %w", q.From, err)
	}
	if seen != n.Primary {
		return "", m.alarm(n, fmt.Sprintf("MAC %s asked for its boot token from its address %s", seen, q.From))
	}
	kernel, err := m.cfg.Microkernel()
	if err != nil {
		return "", err
	}
	token, err := m.giveToken(ctx, n)
	if errors.Is(err, errGiven) {
		return "", errors.Join(m.alarm(n, "its boot token was asked for again within one network boot: another machine may have the first"), err)
	}
	if err != nil {
		return "", err
	}
	return s.microkernelScript(kernel, n.Primary, token)
}

func (m *Machine) site() site {
	return site{server: m.cfg.Server, httpPort: m.cfg.HTTPPort, httpsPort: m.cfg.HTTPSPort, pin: m.cfg.Pin, args: m.cfg.KernelArgs}
}

var errGiven = errors.New("a boot token is given once per DHCP boot")

// giveToken hands the token of this network boot out, once.
func (m *Machine) giveToken(ctx context.Context, n *rack.Node) (string, error) {
	var token string
	err := m.update(ctx, n.Primary, func(r *Record) error {
		switch {
		case r.Job == nil:
			return fmt.Errorf("%s has no job: %w", n.Name, bootd.ErrRefused)
		case r.Job.Token.Next == "" && r.Job.Token.Given != "":
			return fmt.Errorf("%s: %w: %w", n.Name, errGiven, bootd.ErrRefused)
		case r.Job.Token.Next == "":
			return fmt.Errorf("%s: a boot token is given once per DHCP boot: %w", n.Name, bootd.ErrRefused)
		}
		token = r.Job.Token.Next
		r.Job.Token = Token{Given: token}
		return nil
	})
	return token, err
}
