package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// Faults are ways for a server to misbehave; the zero value is a good one. FaultWords says what each of them does.
type Faults struct {
	BMCMute      bool `json:"bmc_mute"`
	BMCDeafBoot  bool `json:"bmc_deaf_boot"`
	BMCDeafPower bool `json:"bmc_deaf_power"`
	BMCNoTimeout bool `json:"bmc_no_timeout"`
	Unplugged    bool `json:"unplugged"`

	// Those of fake servers only.
	BMCPassword   bool `json:"bmc_password"`
	NoPower       bool `json:"no_power"`
	NoDHCP        bool `json:"no_dhcp"`
	NoTFTP        bool `json:"no_tftp"`
	TFTPStall     bool `json:"tftp_stall"`
	NoKernel      bool `json:"no_kernel"`
	KernelStall   bool `json:"kernel_stall"`
	NoCheckIn     bool `json:"no_checkin"`
	AgentSilent   bool `json:"agent_silent"`
	WriteSlow     bool `json:"write_slow"`
	WriteError    bool `json:"write_error"`
	WriteReboot   bool `json:"write_reboot"`
	ReplyLost     bool `json:"reply_lost"`
	NoCallback    bool `json:"no_callback"`
	AlwaysNetwork bool `json:"always_network"`
	DiskFirst     bool `json:"disk_first"`
	OtherNIC      bool `json:"other_nic"`
	BootLoop      bool `json:"boot_loop"`
}

// FaultWord is how a person names a fault.
type FaultWord struct {
	Word string
	// Help says what the server does, as the end of a sentence.
	Help string
	// Field is the fault's place.
	Field func(*Faults) *bool
	// FakeOnly marks what only the fake servers of a fleet can do.
	FakeOnly bool
}

// FaultWords lists all faults, those that every kind of rack has first.
func FaultWords() []FaultWord {
	return []FaultWord{
		{"bmc-mute", "its BMC answers nothing over the network", func(f *Faults) *bool { return &f.BMCMute }, false},
		{"bmc-deaf-boot", "its BMC says yes to a boot device and keeps the one that was", func(f *Faults) *bool { return &f.BMCDeafBoot }, false},
		{"bmc-deaf-power", "its BMC says yes to power orders and does nothing", func(f *Faults) *bool { return &f.BMCDeafPower }, false},
		{"bmc-no-timeout", "its BMC cannot switch off the 60 s timeout of the boot device", func(f *Faults) *bool { return &f.BMCNoTimeout }, false},
		{"unplugged", "there is no cable on its primary NIC", func(f *Faults) *bool { return &f.Unplugged }, false},
		{"bmc-password", "its BMC has another password than the rack", func(f *Faults) *bool { return &f.BMCPassword }, true},
		{"no-power", "its BMC says that power is on, and nothing starts", func(f *Faults) *bool { return &f.NoPower }, true},
		{"no-dhcp", "its link is up, and it never asks for an address", func(f *Faults) *bool { return &f.NoDHCP }, true},
		{"no-tftp", "it gets an address, and never loads a boot program", func(f *Faults) *bool { return &f.NoTFTP }, true},
		{"tftp-stall", "it stops in the middle of the boot program", func(f *Faults) *bool { return &f.TFTPStall }, true},
		{"no-kernel", "it gets its boot script, and never loads the kernel", func(f *Faults) *bool { return &f.NoKernel }, true},
		{"kernel-stall", "it stops in the middle of the kernel", func(f *Faults) *bool { return &f.KernelStall }, true},
		{"no-checkin", "its microkernel starts, and the agent never checks in", func(f *Faults) *bool { return &f.NoCheckIn }, true},
		{"agent-silent", "its agent says nothing after the check-in", func(f *Faults) *bool { return &f.AgentSilent }, true},
		{"write-slow", "its disk is a hundred times slower", func(f *Faults) *bool { return &f.WriteSlow }, true},
		{"write-error", "its disk fails in the middle of the image", func(f *Faults) *bool { return &f.WriteError }, true},
		{"write-reboot", "it reboots by itself in the middle of the image, once", func(f *Faults) *bool { return &f.WriteReboot }, true},
		{"reply-lost", "the first answer to each of its agent's reports is lost", func(f *Faults) *bool { return &f.ReplyLost }, true},
		{"no-callback", "its installed system never calls back", func(f *Faults) *bool { return &f.NoCallback }, true},
		{"always-network", "it boots over the network whatever its BMC says", func(f *Faults) *bool { return &f.AlwaysNetwork }, true},
		{"disk-first", "it boots from its disk whatever its BMC says", func(f *Faults) *bool { return &f.DiskFirst }, true},
		{"other-nic", "from its next power-on, its primary NIC is another than its row says", func(f *Faults) *bool { return &f.OtherNIC }, true},
		{"boot-loop", "its installed system does not start: it resets, and boots again", func(f *Faults) *bool { return &f.BootLoop }, true},
	}
}

// ParseFaults takes words of FaultWords.
func ParseFaults(words []string) (Faults, error) {
	var f Faults
	all := FaultWords()
	for _, w := range words {
		i := slices.IndexFunc(all, func(have FaultWord) bool { return have.Word == w })
		if i < 0 {
			return Faults{}, fmt.Errorf("fault %q: want %s", w, strings.Join(faultNames(all), ", "))
		}
		*all[i].Field(&f) = true
	}
	return f, nil
}

func faultNames(words []FaultWord) []string {
	var names []string
	for _, w := range words {
		names = append(names, w.Word)
	}
	return names
}

// OfBMC gives the faults that are the BMC's.
func (f Faults) OfBMC() vbmc.Faults {
	return vbmc.Faults{Mute: f.BMCMute, DeafBoot: f.BMCDeafBoot, DeafPower: f.BMCDeafPower, NoTimeout: f.BMCNoTimeout}
}

// errFake is returned for faults that a real machine cannot be told to have.
var errFake = errors.New("only the fake servers of racker-sim fleet can have this fault")

// SetFaults makes the server misbehave from now on, or behave again.
func (s *server) SetFaults(f Faults) error {
	for _, w := range FaultWords() {
		if w.FakeOnly && *w.Field(&f) {
			return fmt.Errorf("fault %s: %w", w.Word, errFake)
		}
	}
	if u, ok := s.bmc.(*unit); ok {
		u.bmc.SetFaults(f.OfBMC())
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
