package sim

import (
	"bytes"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// State is what a server is doing, as it is seen from outside: from its serial console and its disks.
type State string

// States of a server.
const (
	StateOff      State = "off"
	StateFirmware State = "firmware"
	StateNetboot  State = "netboot"
	StateAgent    State = "agent"
	StateWriting  State = "writing"
	StateBooted   State = "booted"
	StateReady    State = "ready" // its callback was accepted
)

const (
	// installBytes written while the agent runs are an installation: far more than a look at a file system leaves behind.
	installBytes = mib
	// maxLine bounds a line of the console.
	maxLine = 4096
)

// What the programs on a server print on its console, each a part of a line.
const (
	// markKernel begins a kernel's own command line (Linux, init/main.c); the agent's has markJob.
	markKernel = "Kernel command line: "
	markJob    = " " + api.ArgServer + "="
	markAgent  = "racker-agent"
	// markReady is printed by the installed system when racker took its callback.
	markReady = "racker: callback ready accepted"
)

// observer derives a server's state from its console and its disks' counters. It is not safe for concurrent use.
type observer struct {
	State    State
	Boots    int
	Installs int
	// Writes is what the disks took since the first boot, in bytes.
	Writes int64

	rest    []byte // of an unfinished line
	before  int64  // Writes at the start of this boot
	from    int64  // Writes when the present burst of the agent began
	counted bool   // the present burst is in Installs
	writing bool   // the agent is in its write step
	ended   bool   // the present burst is the write step's, which is over
	agent   bool   // the agent runs in this boot
}

// off notes that power is off.
func (o *observer) off() { o.State, o.rest = StateOff, nil }

// boot notes a power-on or reset.
func (o *observer) boot() {
	o.Boots++
	o.State, o.rest, o.before, o.agent = StateFirmware, nil, o.Writes, false
	o.begin(false)
}

// begin starts a new burst of writes.
func (o *observer) begin(writing bool) {
	o.from, o.counted, o.writing, o.ended = o.Writes, false, writing, false
}

// written notes the bytes written since this boot.
func (o *observer) written(n int64) {
	o.Writes = o.before + n
	if !o.agent || o.counted || o.Writes-o.from < installBytes {
		return
	}
	o.counted = true
	o.Installs++
	if !o.ended {
		o.State = StateWriting
	}
}

// console notes output of the serial console, in pieces of any size.
func (o *observer) console(b []byte) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		o.line(string(append(o.rest, b[:i]...)))
		o.rest, b = o.rest[:0], b[i+1:]
	}
	o.rest = append(o.rest, b...)
	o.progress(string(o.rest)) // a prompt has no end of line
	if len(o.rest) > maxLine {
		o.line(string(o.rest))
		o.rest = o.rest[:0]
	}
}

// line notes one line of the console.
func (o *observer) line(s string) {
	switch {
	case o.State == StateOff:
	case strings.Contains(s, markKernel):
		o.agent = strings.Contains(s, markJob)
		if o.agent {
			o.State = StateAgent
		}
	case strings.Contains(s, markReady):
		o.State = StateReady
	case strings.Contains(s, markAgent) && !o.agent && !reached(o.State, StateBooted):
		o.agent, o.State = true, StateAgent
	case o.agent:
		o.step(s)
	default:
		o.progress(s)
	}
}

// progress notes signs of the firmware's and the installed system's progress. A state only goes forward within a boot.
func (o *observer) progress(s string) {
	if o.State == StateOff || o.agent {
		return
	}
	for _, sign := range signs() {
		if !reached(o.State, sign.state) && strings.Contains(s, sign.text) {
			o.State = sign.state
		}
	}
}

// step notes the agent's own words about its steps.
func (o *observer) step(s string) {
	_, rest, ok := strings.Cut(s, "step")
	if !ok {
		return
	}
	write := strings.Contains(rest, "write") && hasAny(rest, "begins", "running")
	ends := strings.Contains(rest, "write") && hasAny(rest, "done", "failed")
	switch {
	case write && !o.writing:
		o.begin(true)
		o.State = StateWriting
	case ends:
		o.writing, o.ended, o.State = false, true, StateAgent
	}
}

type sign struct {
	text  string
	state State
}

func signs() []sign {
	return []sign{
		{"iPXE initialising devices", StateNetboot},
		{"Configuring (net", StateNetboot},
		{">>Start PXE over", StateNetboot},
		{">>Start HTTP Boot over", StateNetboot},
		{"systemd[1]: ", StateBooted},
		{" login: ", StateBooted},
	}
}

// reached reports whether a server in state now is past or in state then.
func reached(now, then State) bool {
	order := []State{StateOff, StateFirmware, StateNetboot, StateAgent, StateWriting, StateBooted, StateReady}
	return slices.Index(order, now) >= slices.Index(order, then)
}

func hasAny(s string, of ...string) bool {
	return slices.ContainsFunc(of, func(o string) bool { return strings.Contains(s, o) })
}
