package sim

// Status is what a rack is doing, as its servers see it.
type Status struct {
	Nodes []NodeStatus `json:"nodes"`
}

// NodeStatus is one server.
type NodeStatus struct {
	Name  string `json:"name"`
	MAC   string `json:"mac"`   // primary
	Power string `json:"power"` // on or off
	// Boots counts power-ons and resets.
	Boots int `json:"boots"`
	// Installs counts how often the agent wrote a disk: bursts of at least 1 MiB, by the disks' own counters.
	Installs int   `json:"installs"`
	State    State `json:"state"`

	Firmware     string `json:"firmware,omitempty"`
	WrittenBytes int64  `json:"written_bytes"`
	BMCAddress   string `json:"bmc_address,omitempty"`

	// Fleet is what only a fake server counts.
	Fleet *FleetStatus `json:"fleet,omitempty"`
}

// FleetStatus is what a fake server counts since the start of its fleet.
type FleetStatus struct {
	Address string `json:"address,omitempty"` // that it has now
	// PowerOffs counts orders of the BMC that took power, resets included; OffsAfterWrite those of them that came after the
	// write of its disk first began. OffsWhileWriting cut a write.
	PowerOffs        int `json:"power_offs"`
	OffsAfterWrite   int `json:"offs_after_write"`
	OffsWhileWriting int `json:"offs_while_writing"`
	// Reboots counts those that the server made by itself; RebootsWhileWriting those of them that cut a write.
	Reboots             int `json:"reboots"`
	RebootsWhileWriting int `json:"reboots_while_writing"`
	// Netboots counts boot scripts that it was given, Microkernels the microkernels that it started, and
	// MicrokernelsInstalled those of them that started while its disk held a complete system.
	Netboots              int `json:"netboots"`
	Microkernels          int `json:"microkernels"`
	MicrokernelsInstalled int `json:"microkernels_installed"`
	// Callbacks counts callbacks that were accepted.
	Callbacks int `json:"callbacks"`
	// Said is the last thing that it would have shown on its screen.
	Said   string   `json:"said,omitempty"`
	Faults []string `json:"faults,omitempty"`
}

// Find gives the server with this name or primary MAC, or nil.
func (s *Status) Find(word string) *NodeStatus {
	for i := range s.Nodes {
		if s.Nodes[i].Name == word || s.Nodes[i].MAC == word {
			return &s.Nodes[i]
		}
	}
	return nil
}
