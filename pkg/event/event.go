// Package event has the typed events of racker and their fan-out to whoever follows: the journal, the API's
// event stream, a terminal.
package event

import "time"

// Kind says what happened; the words are part of the API.
type Kind string

// Kinds of events. Node carries the primary MAC of the node where there is one.
const (
	DHCPSeen   Kind = "dhcp"       // a DHCP packet of a known node or BMC, and what was answered
	Unknown    Kind = "unknown"    // a machine that nodes.csv does not list
	FileServed Kind = "file"       // TFTP or HTTP: name, bytes, address
	BootAnswer Kind = "boot"       // what /ipxe answered
	AgentStep  Kind = "agent"      // check-in, step reports
	BMCReading Kind = "bmc"        // power or boot device as read
	Transition Kind = "transition" // a state of the state machine was entered
	Callback   Kind = "callback"   // an installed system called back
	Alarm      Kind = "alarm"      // something that a person must look at: a second key for a token, ...
	RunChange  Kind = "run"        // a run began, ended or reached a stage
	Lost       Kind = "lost"       // some events before this one could not be written to disk; only in files
)

// Event is one thing that happened. Fields hold small facts by the names of keys.go.
type Event struct {
	ID      uint64            `json:"id"`
	Time    time.Time         `json:"time"`
	Kind    Kind              `json:"kind"`
	Node    string            `json:"node,omitempty"`
	Run     string            `json:"run,omitempty"`
	Message string            `json:"message"`
	Fields  map[string]string `json:"fields,omitempty"`
}
