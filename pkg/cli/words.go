package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// oneWord wants exactly one word after the command and names it where it is missing.
func oneWord(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 || args[0] == "":
			return fmt.Errorf("%s is missing", name)
		case len(args) > 1:
			return fmt.Errorf("takes one %s, got %q too", name, args[1])
		}
		return nil
	}
}

// atMostOneWord wants one word after the command, or none.
func atMostOneWord(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return oneWord(name)(cmd, args)
	}
}
