package cli

import "github.com/spf13/cobra"

func newRunCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Look at the runs that the daemon carries out",
	}
	cmd.AddCommand(newRunListCmd(env), newRunShowCmd(env), newRunWaitCmd(env), newRunCancelCmd(env))
	return cmd
}
