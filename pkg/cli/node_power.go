package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
)

// powerer switches nodes.
type powerer interface {
	nodeFinder
	Power(ctx context.Context, node string, o api.PowerOrder) (api.OrderView, error)
}

type nodePowerOptions struct {
	ordersOptions
	Nodes func() (powerer, error)
	Power api.Power
	Hard  bool
}

func newNodePowerCmd(env *Env) *cobra.Command {
	o := &nodePowerOptions{Nodes: func() (powerer, error) { return env.client() }}
	o.IO = env.IO
	cmd := &cobra.Command{
		Use:   "power NODE... on|off",
		Short: "Switch nodes on or off",
		Long: `power switches nodes through their BMCs, and returns when each BMC has confirmed it. A system that is up is shut down
first, for two minutes at most, unless --hard is given. Nodes that a run is at work on are refused.

Exit codes: 0 ok, also when it was so; 1 failed, or no daemon answers; 2 usage, or no such node; 3 some nodes failed; 6 a BMC
is unreachable.`,
		Example: "  racker node power node-3 on\n  racker node power node-3 node-4 off --hard",
		Args:    nodesAndLast("on", "off"),
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			o.JSON, o.Words, o.Power = env.JSON, args[:last], api.Power(args[last])
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.Hard, "hard", false, "off at once, without shutting the system down")
	return cmd
}

// nodesAndLast wants nodes, and one of some words behind them.
func nodesAndLast(choices ...string) cobra.PositionalArgs {
	list := choices[0]
	for _, c := range choices[1:] {
		list += " or " + c
	}
	return func(_ *cobra.Command, args []string) error {
		switch n := len(args); {
		case n == 0:
			return fmt.Errorf("NODE is missing")
		case !slices.Contains(choices, args[n-1]):
			return fmt.Errorf("the last word is %s, got %q", list, args[n-1])
		case n == 1:
			return fmt.Errorf("NODE is missing before %s", args[0])
		default:
			return noEmptyWord("NODE", args)
		}
	}
}

func (o *nodePowerOptions) run(ctx context.Context) error {
	if o.Hard && o.Power == api.PowerOn {
		return usageError("--hard is for off")
	}
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	return o.all(ctx, d, "Power "+string(o.Power), func(ctx context.Context, node string) (api.OrderView, error) {
		return d.Power(ctx, node, api.PowerOrder{Power: o.Power, Hard: o.Hard})
	})
}
