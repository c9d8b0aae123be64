package provision

import (
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// maxEvidence is how many facts of a node are held in memory; the timeline on disk has more.
const maxEvidence = 32

// live is what is known of a node but not worth a place in the store.
type live struct {
	heard    time.Time     // of the agent, last
	moved    time.Time     // progress or a transition, last
	spent    time.Duration // time in this state before the daemon was started again
	powered  time.Time     // when this daemon turned it on
	orders   string        // the attempt for which it was turned on
	progress *api.Progress
	power    api.Power
	reached  bool
	bmcError string    // why it was not reached
	refused  time.Time // when it refused the credentials; zero when the last answer was another
	queued   bool      // waits for its turn: to be powered, or for an image stream
	evidence []event.Event
}

// alive changes what is held beside a node's record; nothing happens to a MAC that has none.
func (m *Machine) alive(mac rack.MAC, fn func(*live)) {
	e := m.entry(mac)
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	fn(&e.live)
}

// known copies what is held beside a node's record.
func (m *Machine) known(mac rack.MAC) (l live) {
	m.alive(mac, func(at *live) {
		l = *at
		l.evidence = append([]event.Event(nil), at.evidence...)
	})
	return l
}

// moved tells that a node made progress: its deadline begins anew.
func (m *Machine) moved(mac rack.MAC) {
	m.alive(mac, func(l *live) { l.moved, l.spent, l.heard = time.Now(), 0, time.Now() })
}

// heard tells that the node's agent said something.
func (m *Machine) heard(mac rack.MAC) {
	m.alive(mac, func(l *live) { l.heard = time.Now() })
}

// note adds a fact to a node's timeline and publishes it.
func (m *Machine) note(mac rack.MAC, e event.Event) {
	e.Node, e.Message = mac.String(), sentence(e.Message)
	if e.Run == "" {
		if rec := m.record(mac); rec != nil && rec.State.underway() {
			e.Run = rec.Run
		}
	}
	e = m.needs.Events.Publish(e)
	m.alive(mac, func(l *live) {
		if len(l.evidence) >= maxEvidence {
			copy(l.evidence, l.evidence[1:])
			l.evidence = l.evidence[:maxEvidence-1]
		}
		l.evidence = append(l.evidence, e)
	})
}

// Note adds a fact that a server of this process saw, such as a DHCP packet or a file served.
func (m *Machine) Note(mac rack.MAC, e event.Event) { m.note(mac, e) }

// lastSeen is the newest fact of a node that is not one of racker's own decisions.
func (m *Machine) lastSeen(mac rack.MAC) string {
	text := "nothing"
	m.alive(mac, func(l *live) {
		for _, e := range l.evidence {
			if e.Kind != event.Transition {
				text = e.Message
			}
		}
	})
	return text
}
