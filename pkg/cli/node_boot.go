package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
)

// booter boots nodes by runs.
type booter interface {
	nodeFinder
	runKeeper
	Boot(ctx context.Context, node string, o api.BootOrder) (api.RunView, error)
}

type nodeBootOptions struct {
	nodeRunsOptions
	Nodes  func() (booter, error)
	Target string
}

func newNodeBootCmd(env *Env) *cobra.Command {
	o := &nodeBootOptions{Nodes: func() (booter, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "boot NODE... disk|inventory",
		Short: "Boot nodes from their disk, or once into the microkernel",
		Long: `boot restarts nodes by way of their BMCs and follows them: disk boots the installed system, inventory boots the microkernel
once, which reports the hardware and goes on to the disk. Nothing is written. A system that is up is shut down first. Nodes
that a run is at work on are refused.

Exit codes: 0 ok, or detached; 1 failed, or no daemon answers; 2 usage, or no such node; 3 some nodes failed; 6 a BMC or node
is unreachable; 130 left, and the boot goes on.`,
		Example: "  racker node boot node-3 disk\n  racker node boot node-3 node-4 inventory --detach",
		Args:    nodesAndLast(api.BootDisk, api.BootInventory),
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			o.Words, o.Target = args[:last], args[last]
			return o.run(cmd.Context())
		},
	}
	o.setUp(env, cmd)
	return cmd
}

func (o *nodeBootOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	nodes, err := namedNodes(ctx, d, o.Words)
	if err != nil {
		return err
	}
	return o.order(ctx, d, nodes, func(ctx context.Context, node string) (api.RunView, error) {
		return d.Boot(ctx, node, api.BootOrder{Target: o.Target})
	})
}
