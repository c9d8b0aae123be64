package cli

import "github.com/spf13/cobra"

func newNodeCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Look at the nodes of the rack",
	}
	cmd.AddCommand(newNodeListCmd(env), newNodeShowCmd(env))
	return cmd
}
