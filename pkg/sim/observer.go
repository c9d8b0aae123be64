package sim

import (
	"bytes"
	"strings"
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

// What the programs on a server print on its console. The first column is part of a line.
const (
	markAgent = "racker-agent: "
	markStep  = "racker-agent: step "
	markWrite = "racker-agent: step write"
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
	writing bool   // the agent's last step was the write
}

// off notes that power is off.
func (o *observer) off() { o.State, o.rest = StateOff, nil }

// boot notes a power-on or reset.
func (o *observer) boot() {
	o.Boots++
	o.State, o.rest, o.before = StateFirmware, nil, o.Writes
	o.begin(false)
}

// begin starts a new burst of writes.
func (o *observer) begin(writing bool) {
	o.from, o.counted, o.writing = o.Writes, false, writing
}

// written notes the bytes written since this boot.
func (o *observer) written(n int64) {
	o.Writes = o.before + n
	agent := o.State == StateAgent || o.State == StateWriting
	if !agent || o.counted || o.Writes-o.from < installBytes {
		return
	}
	o.counted = true
	o.Installs++
	o.State = StateWriting
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
	if len(o.rest) > maxLine {
		o.line(string(o.rest))
		o.rest = o.rest[:0]
	}
}

// line notes one line of the console. States only go forward within a boot.
func (o *observer) line(s string) {
	switch {
	case o.State == StateOff:
	case strings.Contains(s, markReady):
		o.State = StateReady
	case strings.Contains(s, markAgent):
		o.agentLine(s)
	case o.State == StateFirmware && hasAny(s, "iPXE initialising devices", ">>Start PXE over", ">>Start HTTP Boot over", "Configuring (net"):
		o.State = StateNetboot
	case (o.State == StateFirmware || o.State == StateNetboot) && hasAny(s, "systemd[1]: ", " login: ", "Welcome to Debian", "Welcome to Flatcar"):
		o.State = StateBooted
	}
}

func (o *observer) agentLine(s string) {
	if o.State != StateWriting {
		o.State = StateAgent
	}
	if !strings.Contains(s, markStep) {
		return
	}
	write := strings.Contains(s, markWrite+" running")
	switch {
	case write && !o.writing:
		o.begin(true)
		o.State = StateWriting
	case !write && o.writing:
		o.writing = false
		o.State = StateAgent
	}
}

func hasAny(s string, of ...string) bool {
	for _, o := range of {
		if strings.Contains(s, o) {
			return true
		}
	}
	return false
}
