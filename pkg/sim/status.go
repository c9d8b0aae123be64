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
