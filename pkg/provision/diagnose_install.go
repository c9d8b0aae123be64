package provision

import (
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

const (
	// slowPart is the part of its peers' speed below which a write is slow.
	slowPart = 3
	// slowWrite is how long a write may still take without a word, where there are no peers to compare with.
	slowWrite = 2 * time.Hour
)

func held(s *sight, _ *trail) string {
	if !s.Held || s.State == Failed {
		return ""
	}
	return "held in the microkernel before its first write, as --stop-at agent asked: a run without it goes on from here"
}

func disksAsked(s *sight, _ *trail) string {
	if !s.Asks || s.State == Failed {
		return ""
	}
	return fmt.Sprintf("waits in the microkernel until the disks to be erased are confirmed: racker run wait %s shows and asks", clip(s.Run, 24))
}

func queuedForImage(s *sight, _ *trail) string {
	if !s.Queued || s.State == Failed {
		return ""
	}
	return "waits for an image stream, since as many nodes as may (limits.image_streams) read one now"
}

func powerLost(s *sight, _ *trail) string {
	if s.Power != api.PowerOff || !s.overSince(s.AgentHeard, patiencePower) {
		return ""
	}
	return fmt.Sprintf("it lost its power: its BMC reads off, and its agent spoke last %s ago: look at its power supplies; then racker node reprovision %s",
		s.ago(s.AgentHeard), s.name())
}

func agentSilent(s *sight, t *trail) string {
	patience := patienceStep
	if s.Progress != nil {
		patience = patienceWrite
	}
	if s.AgentHeard.IsZero() || !s.overSince(s.AgentHeard, patience) || s.State == Failed && s.Since.Sub(s.AgentHeard) < patience {
		return ""
	}
	what := "after its check-in"
	switch {
	case s.Progress != nil && s.Progress.Total > 0:
		what = fmt.Sprintf("in the middle of the write (%s of %s)", bytesText(s.Progress.Done), bytesText(s.Progress.Total))
	case t.agent != nil && t.agent.Fields[event.KeyStep] != "":
		what = "after the step " + clip(t.agent.Fields[event.KeyStep], 20)
	}
	return fmt.Sprintf("its agent is silent for %s, %s: did the server hang, restart or lose its link? Look at its console; a restart of it begins anew",
		s.ago(s.AgentHeard), what)
}

func agentSlow(s *sight, t *trail) string {
	if !s.over(patienceStep) {
		return ""
	}
	last := "its check-in"
	if t.agent != nil {
		last = quoted(t.agent.Message)
	}
	return fmt.Sprintf("its agent is there and does not go on; its last step: %s%s: racker node show %s has its log", last, t.alarmText(), s.name())
}

func writeStands(s *sight, _ *trail) string {
	p := s.Progress
	switch {
	case !s.over(patienceWrite):
		return ""
	case s.State == Failed:
		return fmt.Sprintf("its write stood still until its time was up, %s ago, though its agent was there: the disk may be failing; racker node show %s has the agent's log",
			s.ago(s.Since), s.name())
	}
	if p == nil || p.Total <= 0 {
		return fmt.Sprintf("it chose its disk %s ago, and the write did not begin: racker node show %s has the agent's log", s.ago(s.Moved), s.name())
	}
	return fmt.Sprintf("its write stands still at %s of %s for %s, though its agent is there: the disk may be failing; racker node show %s has the agent's log",
		bytesText(p.Done), bytesText(p.Total), s.ago(s.Moved), s.name())
}

func writeSlow(s *sight, _ *trail) string {
	p := s.Progress
	if p == nil || p.BytesPerSecond <= 0 || p.Done >= p.Total || s.State == Failed {
		return ""
	}
	left := time.Duration(min(float64(p.Total-p.Done)/float64(p.BytesPerSecond), 1e9)) * time.Second
	end := s.ago(s.Now.Add(-left))
	switch {
	case s.Peers/slowPart > p.BytesPerSecond && left > time.Minute:
		return fmt.Sprintf("its write is slow: %s per second against %s of the others, %s left: look at its disk, and at the speed of its link",
			bytesText(p.BytesPerSecond), bytesText(s.Peers), end)
	case left > slowWrite:
		return fmt.Sprintf("its write is slow: %s per second, %s left for %s: look at its disk, and at the speed of its link",
			bytesText(p.BytesPerSecond), end, bytesText(p.Total-p.Done))
	}
	return ""
}

// bootsForEver is about an installed node whose firmware asks the network, is told to boot its disk, and asks again.
func bootsForEver(s *sight, t *trail) string {
	// Firmware may ask twice in one boot: for PXE, and for HTTP.
	last := later(t.answer, t.taken)
	if t.answers < 2 && t.boots < 4 || t.system != nil && t.system.Time.After(last.Time) {
		return ""
	}
	return fmt.Sprintf("wrong boot order, or its disk does not boot: installed, and it boots from the network again and again (%d times, the last %s ago), each time told to boot its disk: look at its console, and put the disk first",
		max(t.answers, t.boots), s.ago(last.Time))
}

func noCallback(s *sight, t *trail) string {
	if t.system == nil || !s.overSince(t.system.Time, patienceBoot) {
		return ""
	}
	return fmt.Sprintf("installed but no callback: its system asked for an address %s ago, and did not call back: did its Ignition config fail? Look at its console, and whether it reaches racker's HTTPS port",
		s.ago(t.system.Time))
}

func diskDoesNotBoot(s *sight, t *trail) string {
	last := later(t.answer, t.firmware)
	if last == nil || !s.overSince(last.Time, patienceBoot) {
		return ""
	}
	return fmt.Sprintf("installed but no callback: its firmware booted from the network %s ago, was told to boot its disk, and nothing followed: does its disk boot? Look at its console",
		s.ago(last.Time))
}

func neverBack(s *sight, t *trail) string {
	if !t.nothing() || !s.over(patienceBoot) {
		return ""
	}
	return fmt.Sprintf("installed but no callback: it rebooted %s ago, and nothing was heard of it since: does its disk boot, and does its system use the primary NIC? Look at its console",
		s.ago(s.Since))
}
