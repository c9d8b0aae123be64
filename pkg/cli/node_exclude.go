package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
)

// excluder takes nodes out of runs and back.
type excluder interface {
	nodeFinder
	Exclude(ctx context.Context, node string) (api.OrderView, error)
	Include(ctx context.Context, node string) (api.OrderView, error)
}

type nodeExcludeOptions struct {
	ordersOptions
	Nodes func() (excluder, error)
}

func newNodeExcludeCmd(env *Env) *cobra.Command {
	o := &nodeExcludeOptions{Nodes: func() (excluder, error) { return env.client() }}
	return someNodes(env, &o.ordersOptions, &cobra.Command{
		Use:   "exclude NODE...",
		Short: "Power nodes off and leave them out of all runs",
		Long: `exclude powers nodes off and leaves them out of this and all later runs, until include takes them back. A system that is up
is shut down first, for two minutes at most. "fenced" means that the BMC has confirmed that the power is off. A node that may
still be on is excluded all the same, and the exit code is 3: it may still use its addresses and storage.

Exit codes: 0 excluded and fenced; 1 failed, or no daemon answers; 2 usage, or no such node; 3 not fenced, or some nodes
failed.`,
		Example: "  racker node exclude node-7\n  racker node exclude node-7 52:54:00:12:34:56 --json",
	}, o.exclude)
}

func (o *nodeExcludeOptions) exclude(ctx context.Context) error {
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	return o.all(ctx, d, "Excluding", func(ctx context.Context, node string) (api.OrderView, error) {
		v, err := d.Exclude(ctx, node)
		if err != nil {
			return v, err
		}
		v.Message = v.Node.Where + ": excluded; " + fencedText(v.NotFenced)
		return v, nil
	})
}

// fencedText says whether a node that is excluded is off for sure.
func fencedText(notFenced string) string {
	if notFenced == "" {
		return "fenced (power is off, verified)"
	}
	return "not fenced: " + notFenced
}

func newNodeIncludeCmd(env *Env) *cobra.Command {
	o := &nodeExcludeOptions{Nodes: func() (excluder, error) { return env.client() }}
	return someNodes(env, &o.ordersOptions, &cobra.Command{
		Use:   "include NODE...",
		Short: "Take excluded nodes back",
		Long: `include takes nodes back that were excluded. They are left as they are: racker node power switches them on, racker
bootstrap or racker node reprovision installs them.

Exit codes: 0 ok, also when they were not excluded; 1 failed, or no daemon answers; 2 usage, or no such node; 3 some nodes
failed.`,
		Example: "  racker node include node-7",
	}, o.include)
}

func (o *nodeExcludeOptions) include(ctx context.Context) error {
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	return o.all(ctx, d, "Including", d.Include)
}
