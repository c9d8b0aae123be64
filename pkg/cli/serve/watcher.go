package serve

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/rack"
)

// watcher turns what the servers see into evidence, and the two packets that mean something into state.
type watcher struct {
	machine *provision.Machine
	events  provision.Publisher
	unknown *seldom
	log     *slog.Logger
}

// Packet implements dhcpd.Observer.
func (w watcher) Packet(ctx context.Context, s dhcpd.Seen) {
	e := event.Event{Kind: event.DHCPSeen, Message: dhcpText(s), Fields: dhcpFields(s)}
	a, ok := w.machine.Assigned(s.MAC)
	if !ok || a.Role != rack.RoleServer {
		w.other(s, a.Role, e)
		return
	}
	e.Fields[event.KeyRole] = event.RoleServer
	w.machine.Note(s.MAC, e)
	if s.Reply != dhcpv4.MessageTypeAck {
		return
	}
	var err error
	switch {
	case s.Client.IPXE:
		err = w.machine.NetworkBoot(ctx, s.MAC)
	case !s.Client.PXE && !s.Client.HTTP:
		err = w.machine.SystemBoot(ctx, s.MAC)
	}
	if err != nil {
		w.log.WarnContext(ctx, "boot not noted", "mac", s.MAC, "err", err)
	}
}

// other is a packet that no server's primary NIC sent. It belongs to the timeline of the node whose row has the MAC.
func (w watcher) other(s dhcpd.Seen, role string, e event.Event) {
	mac := s.MAC
	n := w.machine.Rack().Find(mac.String())
	switch {
	case n != nil && mac == n.BMC:
		e.Message = "its BMC: " + e.Message
		e.Fields[event.KeyRole] = event.RoleBMC
	case n != nil && mac == n.Secondary:
		e.Message = "its secondary NIC " + mac.String() + ": " + e.Message
		e.Fields[event.KeyRole] = event.RoleSecondary
	case role != "": // the row went, or two rows have it
		e.Message = role + " " + mac.String() + ": " + e.Message
		w.events.Publish(e)
		return
	default:
		if w.unknown.due(mac, time.Now()) {
			e.Kind, e.Message = event.Unknown, "unknown machine "+mac.String()+": "+e.Message
			w.events.Publish(e)
			w.machine.Stranger(mac, s.Client.UUID)
		}
		return
	}
	w.machine.Note(n.Primary, e)
}

// seldom lets each MAC through once a minute.
type seldom struct {
	mu   sync.Mutex
	last map[rack.MAC]time.Time
}

const (
	seldomEvery = time.Minute
	seldomMACs  = 4096 // more at a time are somebody's game; then all are let through less often
)

func newSeldom() *seldom { return &seldom{last: map[rack.MAC]time.Time{}} }

func (s *seldom) due(mac rack.MAC, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[mac]; ok && now.Sub(last) < seldomEvery {
		return false
	}
	if len(s.last) >= seldomMACs {
		for m, last := range s.last {
			if now.Sub(last) >= seldomEvery {
				delete(s.last, m)
			}
		}
		if len(s.last) >= seldomMACs {
			return false
		}
	}
	s.last[mac] = now
	return true
}

func dhcpFields(s dhcpd.Seen) map[string]string {
	f := map[string]string{
		event.KeyMAC: s.MAC.String(), event.KeyXID: s.XID, event.KeyType: s.Type.String(), event.KeyClient: s.Client.Kind(),
	}
	if s.IP.IsValid() {
		f[event.KeyIP] = s.IP.String()
	}
	if s.Reply != dhcpv4.MessageTypeNone {
		f[event.KeyReply] = s.Reply.String()
	}
	for key, text := range map[string]string{event.KeyFile: s.File, event.KeyProblem: s.Problem, event.KeyIgnored: s.Ignored} {
		if text != "" {
			f[key] = text
		}
	}
	return f
}

func dhcpText(s dhcpd.Seen) string {
	text := "DHCP " + s.Type.String()
	switch {
	case s.Client.IPXE:
		text += " of iPXE"
	case s.Client.HTTP:
		text += " of UEFI HTTP boot"
	case s.Client.PXE:
		text += " of PXE firmware"
	}
	if s.Reply != dhcpv4.MessageTypeNone {
		text += ", answered " + s.Reply.String()
	}
	if s.IP.IsValid() {
		text += " " + s.IP.String()
	}
	if s.File != "" {
		text += ", boot file " + s.File
	}
	if s.Ignored != "" {
		text += ", ignored: " + s.Ignored
	}
	if s.Problem != "" {
		text += "; " + s.Problem
	}
	return text
}
