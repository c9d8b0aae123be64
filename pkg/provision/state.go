package provision

import "slices"

// State is where a node stands in its life.
type State string

// States, in the order of a node's life.
const (
	Known       State = "known"
	CheckingBMC State = "checking-bmc"
	Powering    State = "powering"
	Netbooting  State = "netbooting"
	Agent       State = "agent"
	Installing  State = "installing"
	Installed   State = "installed"
	Booted      State = "booted"
	Ready       State = "ready"
	Failed      State = "failed"
	Excluded    State = "excluded"
)

// onward lists the states that may follow one. Every state but ready may also become failed, and every one excluded. A
// server may be faster than the order that starts it: its check-in can come before its powering is noted as done.
var onward = map[State][]State{
	Known:       {CheckingBMC, Ready},                                 // ready: adopted
	CheckingBMC: {Powering, Agent, Known, Ready},                      // agent: a node that was held there
	Powering:    {Netbooting, Agent, Installed, Booted, Known, Ready}, // installed, booted: an order to boot the disk
	Netbooting:  {Agent, Known, Ready},
	Agent:       {Installing, CheckingBMC, Known, Ready}, // known, ready: an inventory is done
	Installing:  {Installed, Agent, Known, Ready},
	Installed:   {Booted, Ready},
	Booted:      {Ready},
	Ready:       {CheckingBMC, Installed}, // installed: an apply reboots it
	Failed:      {CheckingBMC, Ready},     // ready: an installed system that called back after its deadline
	Excluded:    {Known, Ready},
}

// may reports whether a node may go from one state to another.
func may(from, to State) bool {
	switch to {
	case from:
		return false
	case Failed, Excluded:
		return from != Ready && from != Excluded || to == Excluded && from == Ready
	}
	return slices.Contains(onward[from], to)
}

// underway reports whether a run is at work on a node in this state.
func (s State) underway() bool {
	switch s {
	case CheckingBMC, Powering, Netbooting, Agent, Installing, Installed, Booted:
		return true
	}
	return false
}
