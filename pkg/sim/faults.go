package sim

import "github.com/racker-project/racker/pkg/sim/vbmc"

// Faults are ways for a server to misbehave; the zero value is a good one.
type Faults struct {
	// BMCMute answers nothing over the network.
	BMCMute bool `json:"bmc_mute"`
	// BMCDeafBoot says yes to a boot device and keeps the one that was.
	BMCDeafBoot bool `json:"bmc_deaf_boot"`
	// BMCDeafPower says yes to power orders and does nothing.
	BMCDeafPower bool `json:"bmc_deaf_power"`
	// BMCNoTimeout cannot switch off the 60 s timeout of the boot device.
	BMCNoTimeout bool `json:"bmc_no_timeout"`
	// Unplugged takes the cable off the primary NIC.
	Unplugged bool `json:"unplugged"`
}

// SetFaults makes the server misbehave from now on, or behave again.
func (s *server) SetFaults(f Faults) error {
	if u, ok := s.bmc.(*unit); ok {
		u.bmc.SetFaults(vbmc.Faults{Mute: f.BMCMute, DeafBoot: f.BMCDeafBoot, DeafPower: f.BMCDeafPower, NoTimeout: f.BMCNoTimeout})
	}
	s.mu.Lock()
	s.unplugged = f.Unplugged
	s.mu.Unlock()
	return s.Order(orderCable)
}

// cable sets the link of the primary NIC as SetFaults wants it.
func (s *server) cable() error {
	s.mu.Lock()
	up := !s.unplugged
	s.mu.Unlock()
	return s.proc.monitor.command("set_link", map[string]any{"name": primaryNetdev, "up": up}, nil)
}
