package simcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/sim/testos"
)

func newOS(e *env) *cobra.Command {
	group := &cobra.Command{
		Use:   "os",
		Short: "The test OS: a small stand-in for Flatcar that really runs Ignition",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var opts testos.Options
	build := &cobra.Command{
		Use:   "build [--out FILE]",
		Short: "Build the test OS's disk image, unless it is in the cache, and print its name",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Log = e.streams.Err
			image, err := testos.Build(cmd.Context(), opts)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(e.streams.Out, image); err != nil {
				return fmt.Errorf("print the image's name: %w", err)
			}
			return nil
		},
	}
	f := build.Flags()
	f.StringVar(&opts.Out, "out", "", "where the image is wanted as well")
	f.StringVar(&opts.CacheDir, "cache", "", "folder of finished images (default: racker/testos in the user's cache folder)")
	f.StringVar(&opts.Mirror, "mirror", "", "Debian mirror (default: http://deb.debian.org/debian)")
	group.AddCommand(build)
	return group
}
