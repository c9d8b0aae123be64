package provision

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// remember takes the newest facts of nodes that may be asked about from before the daemon was started.
func (m *Machine) remember() {
	if m.needs.History == nil {
		return
	}
	for mac, e := range m.nodes {
		if rec := e.rec.Load(); rec.State.underway() || rec.State == Failed {
			e.live.evidence = m.needs.History.Node(mac.String(), maxEvidence)
			e.live.powered = poweredOn(e.live.evidence)
		}
	}
}

// poweredOn is when a run turned the node on last, by its facts.
func poweredOn(events []event.Event) (at time.Time) {
	for _, e := range events {
		if e.Kind == event.BMCReading && e.Message == saidOn {
			at = e.Time
		}
	}
	return at
}

// diagnosis says in one sentence why a node does not go on; empty when nothing is wrong. peers is the median speed of
// the nodes that write now.
func (m *Machine) diagnosis(n *rack.Node, rec *Record, peers int64) string {
	if !rec.State.underway() && rec.State != Failed && rec.State != Excluded {
		return ""
	}
	l := m.known(n.Primary)
	s := sight{
		Name: n.Name, Primary: n.Primary.String(), State: rec.State, Step: State(rec.Step), Reason: rec.Reason, Refused: rec.Refused,
		Now: time.Now(), Since: rec.Since, PoweredOn: l.powered, Power: l.power, BMCError: l.bmcError,
		Silent: rec.State == Failed && rec.Unreached && !rec.Refused || rec.State != Failed && l.bmcError != "" && !l.reached,
		Events: l.evidence, AgentHeard: l.heard, Progress: l.progress, Moved: l.moved.Add(-l.spent), Peers: peers, Queued: l.queued,
		Held: rec.held(), Asks: m.asks(rec), Run: rec.Run, NotFenced: rec.Fence, Asked: m.askedAt(rec),
	}
	if m.limit(rec) > 0 {
		s.Rest = max(m.timeLeft(rec), 0)
	}
	if a, ok := m.bmcAddr(n); ok {
		s.BMC = a.String()
	}
	if rec.State == Netbooting || s.Step == Netbooting {
		s.Unknown = m.strangers(l.powered)
		if m.needs.Frames != nil {
			s.Heard = m.needs.Frames.Heard(n.Primary)
		}
	}
	if _, err := m.cfg.Microkernel(); err != nil {
		s.Microkernel = err.Error()
	}
	return diagnose(s)
}

// strangers are the MACs of machines that nodes.csv does not list and that were seen since.
func (m *Machine) strangers(since time.Time) []string {
	if m.needs.History == nil {
		return nil
	}
	var out []string
	for _, e := range m.needs.History.Unknown(since) {
		mac := e.Fields["mac"]
		if parsed, err := rack.ParseMAC(mac); err == nil && !m.Listed(parsed) && !slices.Contains(out, mac) {
			out = append(out, strings.ToLower(mac))
		}
	}
	return out
}

// askedAt is since when the node's run waits for an answer about it; zero when it does not.
func (m *Machine) askedAt(rec *Record) time.Time {
	if rec.State != Failed {
		return time.Time{}
	}
	if r := m.run(rec.Run); r != nil && r.State == runRunning && !r.Stop {
		if a, ok := r.Asked[rec.MAC]; ok && a.Answer == "" && a.Tries == rec.Tries {
			return a.At
		}
	}
	return time.Time{}
}

// writeSpeed is the median speed of all nodes that write now, in bytes per second; 0 with less than two of them.
func (m *Machine) writeSpeed() int64 {
	var speeds []int64
	for _, n := range m.inForce().list {
		if rec := m.record(n.Primary); rec == nil || rec.State != Installing {
			continue
		}
		m.alive(n.Primary, func(l *live) {
			if l.progress != nil && l.progress.BytesPerSecond > 0 {
				speeds = append(speeds, l.progress.BytesPerSecond)
			}
		})
	}
	if len(speeds) < 2 {
		return 0
	}
	slices.Sort(speeds)
	return speeds[len(speeds)/2]
}

// views are nodes as lists have them, each with its diagnosis.
func (m *Machine) views(list []*rack.Node) []api.NodeView {
	peers := m.writeSpeed()
	out := make([]api.NodeView, 0, len(list))
	for _, n := range list {
		v := m.view(n)
		v.Diagnosis = m.diagnosis(n, m.shown(n), peers)
		out = append(out, v)
	}
	return out
}

// Stranger hears of a machine that nodes.csv does not list and that says in DHCP which machine it is (option 97). One
// that is known under another MAC has a new NIC or mainboard, or boots from another NIC: its node's timeline says so.
func (m *Machine) Stranger(mac rack.MAC, uuid string) {
	if strings.Trim(uuid, "0f-") == "" { // boards whose maker left it out
		return
	}
	for _, n := range m.inForce().list {
		rec := m.record(n.Primary)
		if rec == nil || rec.Identity == nil || !strings.EqualFold(rec.Identity.UUID, uuid) {
			continue
		}
		m.note(n.Primary, event.Event{
			Kind: event.Alarm, Fields: map[string]string{event.KeyMAC: mac.String()},
			Message: fmt.Sprintf("its NIC has changed, or it boots from another: %s asks for an address with the UUID of %s (%s); if it is new: racker node replace %s --primary %s",
				mac, n.Where(), n.Primary, n.Name, mac),
		})
		return
	}
}
