package simcmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/sim"
)

func newFault(e *env) *cobra.Command {
	return e.rackFlag(&cobra.Command{
		Use:   "fault --dir DIR NODE [FAULT...]",
		Short: "Make a server misbehave, or without a fault behave again",
		Long:  "Make a server misbehave in the ways named, and in no other:\n" + faultHelp(),
		Args:  usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := e.folder()
			if err != nil {
				return err
			}
			faults, err := sim.ParseFaults(args[1:])
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return sim.NewClient(folder).SetFaults(cmd.Context(), args[0], faults)
		},
	})
}

// faultHelp has a line for each fault.
func faultHelp() string {
	var b strings.Builder
	for _, w := range sim.FaultWords() {
		only := ""
		if w.FakeOnly {
			only = " (fleet)"
		}
		fmt.Fprintf(&b, "  %-15s %s%s\n", w.Word, w.Help, only)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
