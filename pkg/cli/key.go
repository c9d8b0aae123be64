package cli

import "github.com/spf13/cobra"

func newKeyCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Look after racker's own SSH key, by which it reaches nodes",
	}
	cmd.AddCommand(newKeyRotateCmd(env))
	return cmd
}
