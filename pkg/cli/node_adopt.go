package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
)

// adopter takes running nodes in.
type adopter interface {
	nodeFinder
	Adopt(ctx context.Context, node string) (api.OrderView, error)
}

type nodeAdoptOptions struct {
	ordersOptions
	Nodes func() (adopter, error)
	All   bool
}

func newNodeAdoptCmd(env *Env) *cobra.Command {
	o := &nodeAdoptOptions{Nodes: func() (adopter, error) { return env.client() }}
	cmd := someNodes(env, &o.ordersOptions, &cobra.Command{
		Use:   "adopt NODE... | --all",
		Short: "Take running nodes in as ready, without touching them",
		Long: `adopt takes nodes that run already, installed by whatever means, in as ready. Their BMC is asked for the power state and
nothing else is done. With --all it takes in every node that is known and on, and leaves the others.

Exit codes: 0 ok, also when they were ready; 1 failed, or no daemon answers; 2 usage, or no such node; 3 some nodes failed;
6 a BMC is unreachable.`,
		Example: "  racker node adopt node-3 node-4\n  racker node adopt --all",
	}, o.adopt)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		switch {
		case o.All && len(args) > 0:
			return fmt.Errorf("--all and %q exclude each other", args[0])
		case !o.All && len(args) == 0:
			return fmt.Errorf("NODE is missing, or --all")
		}
		return noEmptyWord("NODE", args)
	}
	cmd.Flags().BoolVar(&o.All, "all", false, "every node that is known and on")
	return cmd
}

func (o *nodeAdoptOptions) adopt(ctx context.Context) error {
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	if !o.All {
		return o.all(ctx, d, "Adopting", d.Adopt)
	}
	nodes, err := d.Nodes(ctx, true)
	if err != nil {
		return err
	}
	var running []api.NodeView
	for _, n := range nodes {
		switch {
		case n.Management || n.State == stateReady:
		case n.State == stateKnown && n.Power == api.PowerOn:
			running = append(running, n)
		default:
			fmt.Fprintf(o.IO.Err, "Left as it is: %s is %s, power %s\n", n.Name, n.State, dash(string(n.Power)))
		}
	}
	if len(running) == 0 {
		fmt.Fprintln(o.IO.Err, "There is no node to adopt")
	}
	return o.each(ctx, running, "Adopting", d.Adopt)
}
