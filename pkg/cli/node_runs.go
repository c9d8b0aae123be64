package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// nodeRunsOptions is what the commands have in common whose orders are runs, one per node.
type nodeRunsOptions struct {
	IO           *stdio.Streams
	Now          func() time.Time
	Take         func() (<-chan struct{}, func()) // Ctrl-C, for who asks first
	Words        []string
	Wait, Detach bool
	json         func() bool
	names        func(ctx context.Context, folder string) // has this machine know the nodes; nil does not
}

func (o *nodeRunsOptions) setUp(env *Env, cmd *cobra.Command) {
	o.IO, o.Now, o.Take, o.json = env.IO, time.Now, env.interrupts.take, func() bool { return env.JSON }
	o.names = env.namesAfter
	cmd.Flags().BoolVar(&o.Wait, "wait", false, "follow to the end (default)")
	cmd.Flags().BoolVar(&o.Detach, "detach", false, "print the IDs of the runs and leave them to the daemon")
}

func (o *nodeRunsOptions) validate() error {
	if o.Wait && o.Detach {
		return usageError("--wait and --detach exclude each other")
	}
	return nil
}

// order gives the order to each node, and follows the runs that come of it. What was refused is told in the end; the
// others go on.
func (o *nodeRunsOptions) order(ctx context.Context, d runKeeper, nodes []api.NodeView, order func(context.Context, string) (api.RunView, error)) error {
	var runs []api.RunView
	var refused []error
	for i := range nodes {
		v, err := order(ctx, nodes[i].PrimaryMAC)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		fmt.Fprintf(o.IO.Err, "Run %s: %s\n", v.ID, stdio.Clean(nodes[i].Where))
		runs = append(runs, v)
	}
	if len(runs) == 0 {
		return joined(len(nodes), refused)
	}
	if err := o.follow(ctx, d, runs); err != nil {
		if len(refused) == 0 || givenCode(err) == codeInterrupted {
			return err
		}
		refused = append(refused, err)
	}
	return joined(len(nodes), refused)
}

// joined gives the error of one node as it is, and those of several with code 3.
func joined(nodes int, errs []error) error {
	switch {
	case len(errs) == 0:
		return nil
	case nodes == 1:
		return errs[0]
	}
	return withCode(codeSomeNodes, errors.Join(errs...))
}

func (o *nodeRunsOptions) follow(ctx context.Context, d runKeeper, runs []api.RunView) error {
	if o.Detach {
		return printDetached(o.IO, runs, o.json())
	}
	keeper, v := groupRuns(d, runs)
	v, err := newFollower(o.IO, keeper, o.Now, o.Take).follow(ctx, v)
	if err != nil {
		return err
	}
	if o.names != nil {
		o.names(ctx, "")
	}
	return finish(o.IO, &v, o.Now(), o.json())
}
