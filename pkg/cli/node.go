package cli

import "github.com/spf13/cobra"

func newNodeCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Look at the nodes of the rack, and give them orders",
	}
	cmd.AddCommand(
		newNodeListCmd(env), newNodeShowCmd(env), newNodePowerCmd(env), newNodeBootCmd(env), newNodeReprovisionCmd(env),
		newNodeExcludeCmd(env), newNodeIncludeCmd(env), newNodeAdoptCmd(env), newNodeAddCmd(env), newNodeReplaceCmd(env),
	)
	return cmd
}
