package provision

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/racker-project/racker/pkg/event"
)

// trail is how far a node came since a moment, by its events.
type trail struct {
	firmware  *event.Event // its firmware's last DHCP packet
	taken     *event.Event // the last ACK to its firmware
	ipxe      *event.Event // iPXE's last DHCP packet
	system    *event.Event // the last DHCP packet of an operating system
	secondary *event.Event // the last one of its secondary NIC
	bmc       *event.Event // the last one of its BMC, at any time
	asked     int          // DISCOVERs of its firmware
	boots     int          // addresses that its firmware took

	program    *event.Event // the last boot program that was fetched, or tried to be
	gotProgram bool
	answer     *event.Event // the last answer of /ipxe
	answers    int
	kernel     *event.Event    // the last file of the microkernel that was fetched, or tried to be
	gotKernel  map[string]bool // those that were fetched whole
	agent      *event.Event    // the agent's last check-in or step
	alarm      *event.Event
}

// areaMicrokernels is where the files of microkernels are below /assets/.
const areaMicrokernels = "microkernels/"

// trail reads the events of a state's time.
func (s *sight) trail(in State) *trail {
	t := &trail{gotKernel: map[string]bool{}}
	began := s.began(in)
	for i := range s.Events {
		e := &s.Events[i]
		if e.Kind == event.DHCPSeen && e.Fields[event.KeyRole] == event.RoleBMC {
			t.bmc = e
		}
		if e.Time.Before(began) {
			continue
		}
		switch e.Kind {
		case event.DHCPSeen:
			t.dhcp(e)
		case event.FileServed:
			t.file(e)
		case event.BootAnswer:
			t.answer = e
			t.answers++
		case event.AgentStep:
			t.agent = e
		case event.Alarm:
			t.alarm = e
		}
	}
	return t
}

func (t *trail) dhcp(e *event.Event) {
	switch e.Fields[event.KeyRole] {
	case event.RoleBMC:
		return
	case event.RoleSecondary:
		t.secondary = e
		return
	}
	switch e.Fields[event.KeyClient] {
	case event.ClientIPXE:
		t.ipxe = e
	case event.ClientPXE, event.ClientHTTP:
		t.firmware = e
		if e.Fields[event.KeyType] == "DISCOVER" {
			t.asked++
		}
		if e.Fields[event.KeyReply] == "ACK" {
			t.taken = e
			t.boots++
		}
	default:
		t.system = e
	}
}

func (t *trail) file(e *event.Event) {
	name, done := e.Fields[event.KeyFile], e.Fields[event.KeyDone] == "true"
	switch {
	case strings.HasPrefix(name, areaMicrokernels):
		t.kernel = e
		if done {
			t.gotKernel[name] = true
		}
	case e.Fields[event.KeyBy] == event.ByTFTP || strings.HasPrefix(name, "ipxe/"):
		t.program = e
		t.gotProgram = t.gotProgram || done
	}
}

// nothing reports whether nothing was heard of the node itself, its secondary NIC aside.
func (t *trail) nothing() bool {
	for _, e := range []*event.Event{t.firmware, t.ipxe, t.system, t.program, t.answer, t.kernel, t.agent} {
		if e != nil {
			return false
		}
	}
	return true
}

// part says how much of a file was sent: "512 bytes of 2.0 MB".
func part(e *event.Event) string {
	size, err := strconv.ParseInt(e.Fields[event.KeySize], 10, 64)
	got, gerr := strconv.ParseInt(e.Fields[event.KeyBytes], 10, 64)
	switch {
	case gerr != nil:
		return "a part"
	case err != nil || size <= 0:
		return bytesText(got)
	}
	return bytesText(got) + " of " + bytesText(size)
}

// bytesText is a number of bytes for people, in decimal units.
func bytesText(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, unit := float64(n)/1000, 0
	for f >= 999.95 && unit < 3 {
		f, unit = f/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGT"[unit])
}

// quoted is what somebody else said, short.
func quoted(text string) string { return clip(oneLine(text), maxQuoted) }

// clip shortens a text to a number of bytes.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const more = "..."
	return strings.ToValidUTF8(text[:limit-len(more)], "") + more
}

// oneLine keeps what can be printed.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?")))
}

// later is the later of two events; nil comes before all.
func later(a, b *event.Event) *event.Event {
	if a == nil || b != nil && b.Time.After(a.Time) {
		return b
	}
	return a
}
