package cli

import (
	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/stdio"
	"github.com/racker-project/racker/pkg/version"
)

type versionOptions struct {
	IO   *stdio.Streams
	JSON bool
}

func newVersionCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this racker",
		Example: "  racker version\n  racker version --json",
		RunE: func(*cobra.Command, []string) error {
			o := versionOptions{IO: env.IO, JSON: env.JSON}
			return o.run()
		},
	}
}

func (o *versionOptions) run() error {
	if o.JSON {
		return o.IO.JSON(version.Get())
	}
	return o.IO.Outf("%s\n", version.Get().Long())
}
