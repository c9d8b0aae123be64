package cli

import (
	"fmt"
	"strings"

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

// someWords wants at least one word after the command.
func someWords(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
		return noEmptyWord(name, args)
	}
}

func noEmptyWord(name string, args []string) error {
	for _, a := range args {
		if strings.TrimSpace(a) == "" {
			return fmt.Errorf("an empty word is no %s", name)
		}
	}
	return nil
}

// listedAtOnce is how many of a list of names one sentence holds.
const listedAtOnce = 8

// cutList joins names; of a long list it gives the beginning and how many follow.
func cutList(names []string) string {
	if len(names) <= listedAtOnce+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:listedAtOnce], ", "), len(names)-listedAtOnce)
}
