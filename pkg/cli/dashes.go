package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// passThrough marks commands whose words after the first go to another program (racker ssh NODE CMD).
const passThrough = "racker.pass-through"

// passWords makes cmd hand on every word after its first argument, dashes and all.
func passWords(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[passThrough] = "yes"
	cmd.Flags().SetInterspersed(false)
}

// doubleDashes turns the single-dash long flags of the 2021 racker (-provision flatcar, -onfailure=exclude) into
// what cobra reads. Only words that are flags of the command they follow are touched; values of flags, words after
// "--" and words that a command passes on stay as they are. A switch may have its value as the next word
// (-confirm-reset true), as it could then.
func doubleDashes(root *cobra.Command, words []string) []string {
	out := make([]string, 0, len(words))
	cmd, argument := root, false
	for i := 0; i < len(words); {
		word := words[i]
		if word == "--" || cmd.DisableFlagParsing || (argument && cmd.Annotations[passThrough] != "") {
			return append(out, words[i:]...)
		}
		if flag := lookup(cmd, word); flag != nil {
			done, used := doubleDash(flag, words[i:])
			out = append(out, done...)
			i += used
			continue
		}
		if !strings.HasPrefix(word, "-") {
			if sub := child(cmd, word); sub != nil && !argument {
				cmd = sub
			} else {
				argument = true
			}
		}
		out = append(out, word)
		i++
	}
	return out
}

// doubleDash gives the flag that words begin with as cobra reads it, and how many of words that was.
func doubleDash(flag *pflag.Flag, words []string) (out []string, used int) {
	full := "--" + strings.TrimLeft(words[0], "-")
	if strings.Contains(full, "=") || len(words) == 1 {
		return []string{full}, 1
	}
	value := words[1]
	switch {
	case flag.NoOptDefVal == "": // its value, whatever that looks like
		return []string{full, value}, 2
	case flag.Value.Type() == "bool" && (value == "true" || value == "false"):
		return []string{full + "=" + value}, 2
	}
	return []string{full}, 1
}

// lookup finds the long flag that word names with one dash or two, nil when there is none.
func lookup(cmd *cobra.Command, word string) *pflag.Flag {
	name, dashed := strings.CutPrefix(word, "-")
	if !dashed {
		return nil
	}
	name = strings.TrimPrefix(name, "-")
	name, _, _ = strings.Cut(name, "=")
	if name == "help" || len(name) < 2 {
		return helpFlag(cmd, name)
	}
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	if f := cmd.PersistentFlags().Lookup(name); f != nil {
		return f
	}
	return cmd.InheritedFlags().Lookup(name)
}

// helpFlag gives the flag that cobra adds to each command when it runs.
func helpFlag(cmd *cobra.Command, name string) *pflag.Flag {
	if name != "help" {
		return nil
	}
	cmd.InitDefaultHelpFlag()
	return cmd.Flags().Lookup(name)
}

func child(cmd *cobra.Command, word string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == word || sub.HasAlias(word) {
			return sub
		}
	}
	return nil
}
