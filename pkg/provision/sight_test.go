package provision

import (
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// Facts of the sights below. The node was powered on ten minutes ago.
var (
	noon    = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	powered = noon.Add(-10 * time.Minute)
)

func before(ago time.Duration) time.Time { return noon.Add(-ago) }

// seen is an event some time ago; the fields come in pairs.
func seen(ago time.Duration, kind event.Kind, fields ...string) event.Event {
	e := event.Event{Time: before(ago), Kind: kind, Message: "something", Fields: map[string]string{}}
	for i := 0; i+1 < len(fields); i += 2 {
		e.Fields[fields[i]] = fields[i+1]
	}
	return e
}

func seenDHCP(ago time.Duration, client, typ, reply string, more ...string) event.Event {
	return seen(ago, event.DHCPSeen, append([]string{"role", "server", "client", client, "type", typ, "reply", reply, "file", "ipxe.efi"}, more...)...)
}

func seenFile(ago time.Duration, by, name, bytes, size, done string, more ...string) event.Event {
	return seen(ago, event.FileServed, append([]string{"by", by, "file", name, "bytes", bytes, "size", size, "done", done}, more...)...)
}

// netbooting is a node that waits for its network boot.
func netbooting(more ...event.Event) sight {
	return sight{
		Name: "node-3", Primary: "52:54:00:00:00:03", State: Netbooting, Now: noon, Since: powered, PoweredOn: powered, Moved: powered,
		Rest: 5 * time.Minute, Power: api.PowerOn, BMC: "172.24.213.30", Events: more, Run: "run-abc",
	}
}

// in changes a sight.
func (s sight) in(state State, change func(*sight)) sight {
	s.State = state
	if change != nil {
		change(&s)
	}
	return s
}

// late is a node whose deadline passed in a state, a minute ago.
func (s sight) late(step State) sight {
	return s.in(Failed, func(s *sight) {
		s.Step, s.Reason, s.Rest = step, reasonLate+"5m0s in state "+string(step)+"; last seen: x", 0
		s.Since, s.Moved = before(time.Minute), before(time.Minute)
	})
}

// upToIPXE are the events of a node that got as far as iPXE, and a bit further by steps.
func upTo(step int) []event.Event {
	all := []event.Event{
		seenDHCP(8*time.Minute, "pxe", "DISCOVER", "OFFER"),
		seenDHCP(8*time.Minute, "pxe", "REQUEST", "ACK"),
		seenFile(470*time.Second, "tftp", "ipxe.efi", "0", "2000000", "false"), // the size was asked for
		seenFile(460*time.Second, "tftp", "ipxe.efi", "2000000", "2000000", "true"),
		seenDHCP(450*time.Second, "ipxe", "REQUEST", "ACK"),
		seen(440*time.Second, event.BootAnswer),
		seenFile(430*time.Second, "http", "microkernels/1/vmlinuz", "9000000", "9000000", "true"),
		seenFile(420*time.Second, "http", "microkernels/1/initrd.img", "30000000", "30000000", "true"),
		seenDHCP(410*time.Second, "dhcp", "REQUEST", "ACK"),
		seen(400*time.Second, event.AgentStep),
		seen(390*time.Second, event.AgentStep, "step", "verify"),
	}
	return all[:step]
}

const (
	stepAcked   = 2
	stepProgram = 4
	stepIPXE    = 5
	stepScript  = 6
	stepKernel  = 7
	stepInitrd  = 8
	stepAgent   = 10
	stepVerify  = 11
)

type diagnosisTest struct {
	sight sight
	want  []string // parts of the sentence; none for ""
}

func checkDiagnoses(t *testing.T, tests map[string]diagnosisTest) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := diagnose(tt.sight)
			if len(tt.want) == 0 && got != "" {
				t.Errorf("%q, want nothing", got)
			}
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q has no %q", got, w)
				}
			}
			if len(got) > maxDiagnosis-1 {
				t.Errorf("%d bytes: %s", len(got), got)
			}
		})
	}
}
