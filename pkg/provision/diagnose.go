package provision

import (
	"fmt"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// sight is all that a diagnosis looks at: plain facts of one node at one moment. A zero field is a fact that is not known.
type sight struct {
	Name    string    // of the row: rack.Node.Name
	Primary string    // of the row: rack.Node.Primary
	State   State     // Record.State
	Step    State     // Record.Step: of a failed node the state in which it failed
	Reason  string    // Record.Reason: why it failed or was excluded
	Refused bool      // Record.Refused: the BMC refused the credentials
	Now     time.Time // time.Now
	Since   time.Time // Record.Since: when it entered State
	// PoweredOn is when it was powered on last: live.powered, or after a restart the time of the last event of kind
	// BMCReading that says so.
	PoweredOn time.Time

	BMC      string    // address of its BMC: Machine.bmcAddr
	Power    api.Power // live.power: the last reading
	BMCError string    // live.bmcError: why the last question to the BMC failed; empty when it did not
	Silent   bool      // BMCs.Silent of that error; of a failed node Record.Unreached without Record.Refused

	Events  []event.Event // live.evidence, or Timeline.Node after a restart: oldest first, from before PoweredOn on or all there are
	Unknown []string      // MACs of Timeline.Unknown(PoweredOn), oldest first
	Heard   Heard         // Frames.Heard(Primary)

	AgentHeard time.Time     // live.heard: the agent's last word
	Progress   *api.Progress // live.progress: of the write
	Moved      time.Time     // live.moved: progress or a transition, last
	Rest       time.Duration // Machine.timeLeft: what is left of the deadline; 0 when none runs, or it is over
	Peers      int64         // bytes per second of the median of the run's other nodes that write now; 0 without any
	Queued     bool          // live.queued: it waits for its turn to be powered on, or for an image stream

	Microkernel string    // the error of Config.Microkernel; empty when there is one
	Held        bool      // Record.held: --stop-at agent
	Asks        bool      // Machine.asks: its disks wait to be confirmed
	Asked       time.Time // since when the run waits for an answer about it (Question.Asked); zero when it does not
	Run         string    // Record.Run
	NotFenced   string    // Record.Fence: why an excluded node may still be on; empty when it is off for sure
}

const (
	maxDiagnosis = 299 // bytes
	maxQuoted    = 120 // bytes of somebody else's words
	maxNamed     = 3   // unknown MACs that are named

	// How long a node may be silent before that is a word worth. Where less than three times that is left of its deadline,
	// a third of the deadline is.
	patiencePower   = 15 * time.Second
	patienceNetwork = 3 * time.Minute // a large server's firmware takes its time
	patienceStep    = time.Minute     // between two steps of a network boot, or of an agent
	patienceWrite   = 30 * time.Second
	patienceBoot    = 5 * time.Minute
)

// diagnose gives one sentence that names the cause, the evidence and what to do next, or "" when nothing is wrong. It is
// a pure function.
func diagnose(s sight) string {
	var text string
	switch s.State {
	case Failed:
		text = s.whyFailed()
	case Excluded:
		if s.NotFenced != "" {
			text = fmt.Sprintf("excluded, but it may still be on (%s): switch it off by hand, or racker node exclude %s again",
				quoted(s.NotFenced), s.name())
		}
	default:
		if text = s.why(s.State); text == "" && s.State.underway() {
			text = s.alarmed()
		}
	}
	return clip(oneLine(text), maxDiagnosis)
}

// why says what holds a node up in a state, or held it up when it failed there.
func (s *sight) why(in State) string {
	switch in {
	case CheckingBMC, Powering:
		return first(s, s.trail(in), queuedToStart, bmcRefuses, bmcDoesNothing, bmcSilent, bmcFails)
	case Netbooting:
		return first(s, s.trail(in), noMicrokernel, noPower, agentNeverCame, kernelStalled, noKernel, noScript, noIPXE, tftpStalled,
			noTFTP, bootsDisk, wrongVLAN, noFallback, wrongNIC, strangers, noDHCP)
	case Agent:
		return first(s, s.trail(in), held, disksAsked, queuedForImage, powerLost, agentSilent, agentSlow)
	case Installing:
		return first(s, s.trail(in), queuedForImage, powerLost, agentSilent, writeStands, writeSlow)
	case Installed, Booted:
		return first(s, s.trail(in), noPower, bootsForEver, noCallback, diskDoesNotBoot, neverBack)
	}
	return ""
}

// alarmed is the newest alarm of a node whose job goes on nevertheless.
func (s *sight) alarmed() string {
	if t := s.trail(s.State); t.alarm != nil {
		return fmt.Sprintf("alarm %s ago: %s; racker events has more", s.ago(t.alarm.Time), clip(oneLine(t.alarm.Message), maxDiagnosis/2))
	}
	return ""
}

// whyFailed prefers what the evidence says over a deadline that passed.
func (s *sight) whyFailed() string {
	text := ""
	switch {
	case s.Refused:
		text = bmcRefuses(s, nil)
	case strings.HasSuffix(s.Reason, reasonStolen):
		text = fmt.Sprintf("%s: somebody listens on the internal network; racker events says from where; then racker node reprovision %s",
			clip(s.Reason, maxDiagnosis/2), s.name())
	case strings.HasPrefix(s.Reason, reasonLate) || s.Step == CheckingBMC || s.Step == Powering:
		text = s.why(s.Step)
	case s.Step == Installing:
		text = fmt.Sprintf("its write failed: %s; look at the disk and racker node show %s, then racker node reprovision %s",
			quoted(s.Reason), s.name(), s.name())
	}
	if text == "" && s.Reason != "" {
		text = fmt.Sprintf("failed in %s: %s", s.Step, clip(s.Reason, maxDiagnosis/2))
	}
	if text != "" && !s.Asked.IsZero() {
		text = clip(oneLine(text), maxDiagnosis-90) + fmt.Sprintf("; run %s waits for an answer for %s: retry, exclude or cancel", clip(s.Run, 24), s.ago(s.Asked))
	}
	return text
}

// reasonLate is how the reason of a node begins whose deadline passed; see Machine.wait.
const reasonLate = "nothing new for "

// first gives the first finding.
func first(s *sight, t *trail, checks ...func(*sight, *trail) string) string {
	for _, c := range checks {
		if text := c(s, t); text != "" {
			return text
		}
	}
	return ""
}

// over reports whether the node has been without news for longer than is good: the patience, or a third of its deadline
// where that is less.
func (s *sight) over(patience time.Duration) bool { return s.overSince(s.Moved, patience) }

// overSince is over, counted from another time.
func (s *sight) overSince(from time.Time, patience time.Duration) bool {
	if s.State == Failed {
		return true
	}
	if from.Before(s.Since) {
		from = s.Since
	}
	quiet := s.Now.Sub(from)
	if limit := s.Now.Sub(s.Moved) + s.Rest; s.Rest > 0 {
		patience = min(patience, limit/3)
	}
	return quiet >= patience
}

// began is when the time began of which the evidence of a state is: the last power-on, or, for a node that booted its
// disk since, the state itself.
func (s *sight) began(in State) time.Time {
	if in != Installed && in != Booted {
		return s.PoweredOn
	}
	if s.State == Installed {
		return s.Since
	}
	for i := len(s.Events) - 1; i >= 0; i-- {
		if e := &s.Events[i]; e.Kind == event.Transition && e.Fields[event.KeyState] == string(Installed) {
			return e.Time
		}
	}
	return s.PoweredOn
}

func (s *sight) name() string {
	if s.Name == "" {
		return s.Primary
	}
	return clip(s.Name, 40)
}

// ago is the time since a moment, in words: "4m".
func (s *sight) ago(at time.Time) string {
	switch d := s.Now.Sub(at).Round(time.Second); {
	case d < time.Second:
		return "1s"
	case d < 2*time.Minute:
		return d.String()
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	default:
		return fmt.Sprintf("%dh", min(int(d.Hours()), 99999))
	}
}

// sincePower says when it was powered on.
func (s *sight) sincePower() string {
	if s.PoweredOn.IsZero() {
		return "powered on"
	}
	return "powered on " + s.ago(s.PoweredOn) + " ago"
}
