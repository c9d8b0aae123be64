package simcmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/sim"
)

func newFault(e *env) *cobra.Command {
	return e.rackFlag(&cobra.Command{
		Use:   "fault --dir DIR NODE [FAULT...]",
		Short: "Make a server misbehave, or without a fault behave again",
		Long: `Make a server misbehave in the ways named, and in no other:
  bmc-mute        its BMC answers nothing over the network
  bmc-deaf-boot   its BMC says yes to a boot device and keeps the one that was
  bmc-deaf-power  its BMC says yes to power orders and does nothing
  bmc-no-timeout  its BMC cannot switch off the 60 s timeout of the boot device
  unplugged       there is no cable on its primary NIC`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := e.folder()
			if err != nil {
				return err
			}
			faults, err := parseFaults(args[1:])
			if err != nil {
				return err
			}
			return sim.NewClient(folder).SetFaults(cmd.Context(), args[0], faults)
		},
	})
}

// parseFaults takes the words of the command.
func parseFaults(words []string) (sim.Faults, error) {
	var f sim.Faults
	fields := map[string]*bool{
		"bmc-mute": &f.BMCMute, "bmc-deaf-boot": &f.BMCDeafBoot, "bmc-deaf-power": &f.BMCDeafPower,
		"bmc-no-timeout": &f.BMCNoTimeout, "unplugged": &f.Unplugged,
	}
	for _, w := range words {
		field, ok := fields[w]
		if !ok {
			names := []string{}
			for name := range fields {
				names = append(names, name)
			}
			slices.Sort(names)
			return sim.Faults{}, fmt.Errorf("%w: fault %q: want %s", errUsage, w, strings.Join(names, ", "))
		}
		*field = true
	}
	return f, nil
}
