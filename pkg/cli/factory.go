package cli

import "github.com/spf13/cobra"

func newFactoryCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "factory",
		Short: "Write and check the rack's metadata",
	}
	cmd.AddCommand(newFactoryCheckCmd(env))
	return cmd
}
