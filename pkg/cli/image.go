package cli

import "github.com/spf13/cobra"

func newImageCmd(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Keep the OS images that servers are installed with",
	}
	cmd.AddCommand(newImageAddCmd(env), newImageListCmd(env), newImagePullCmd(env), newImageVerifyCmd(env), newImageRemoveCmd(env), newImageGCCmd(env))
	return cmd
}
