package cli

import "github.com/spf13/cobra"

func newOSCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "os",
		Short: "Look after the operating system of running nodes",
	}
	cmd.AddCommand(newOSUpgradeCmd(env))
	return cmd
}
