package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/racker-project/racker/pkg/stdio"
)

// newRootCmd builds the whole tree. A new command is one constructor in its own file and one line here.
func newRootCmd(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "racker",
		Short: "Take a rack of bare servers to a running cluster",
		Long: "racker runs on a rack's management node. It takes a rack of bare servers to a running cluster and keeps\n" +
			"it reprovisionable.",
		Example:       "  racker factory check\n  racker bootstrap --image flatcar_production_image.bin.bz2\n  racker status",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	env.globalFlags(root)
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		return withCode(codeUsage, env.IO.SetColor(stdio.ColorMode(env.colorChoice)))
	}
	root.SetIn(env.IO.In)
	root.SetOut(env.IO.Out)
	root.SetErr(env.IO.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(withCode(codeUsage, flagError(err)), cmd.CommandPath()+" --help")
	})
	env.helpOn(root)
	root.AddCommand(
		newFactoryCmd(env),
		newBootstrapCmd(env),
		newApplyCmd(env),
		newOSCmd(env),
		newStatusCmd(env),
		newEventsCmd(env),
		newNodeCmd(env),
		newRunCmd(env),
		newSSHCmd(env),
		newKeyCmd(env),
		newImageCmd(env),
		newMicrokernelCmd(env),
		newServeCmd(env),
		newStateCmd(env),
		newAuditCmd(env),
		newConfigCmd(env),
		newVersionCmd(env),
	)
	root.InitDefaultHelpCmd()
	strictHelp(root)
	strict(root)
	return root
}

// strict makes every mistake in the words of a command line an error with exit code 2: cobra alone prints help and
// ends with 0 for an unknown word below a command.
func strict(cmd *cobra.Command) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		}
	}
	check := cmd.Args
	if check == nil {
		check = noArgs
	}
	if cmd.Name() != "help" {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil || givenCode(err) != codeOK {
				return err
			}
			return withHint(withCode(codeUsage, fmt.Errorf("%s: %w", cmd.CommandPath(), err)), cmd.CommandPath()+" --help")
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// flagError says what pflag found, without the words of Go: of a wrong single-dash word pflag blames one letter, and of a
// wrong value it names a function.
func flagError(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		kind := e.GetFlag().Value.Type()
		want := map[string]string{"int": "a number", "uint": "a number of 0 or more", "uint64": "a number of 0 or more", "bool": "true or false"}[kind]
		return fmt.Errorf("--%s %q: want %s", e.GetFlag().Name, e.GetValue(), cmp.Or(want, "a "+kind))
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok && len(e.GetSpecifiedShortnames()) > 1 {
		return fmt.Errorf("unknown flag: -%s", e.GetSpecifiedShortnames())
	}
	return err
}

func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return unknownCommand(cmd, args[0])
	}
	return fmt.Errorf("takes no words, got %q", args[0])
}

func unknownCommand(cmd *cobra.Command, word string) error {
	err := usageError("%s has no command %q", cmd.CommandPath(), word)
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = suggestionDistance
	}
	near := cmd.SuggestionsFor(word)
	if len(near) == 0 {
		return withHint(err, cmd.CommandPath()+" --help")
	}
	return withHint(err, cmd.CommandPath()+" "+strings.Join(near, " or "))
}

// suggestionDistance is how many letters a word may differ from a command to be taken for it.
const suggestionDistance = 2
