package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/stdio"
)

type runWaitOptions struct {
	IO   *stdio.Streams
	Runs func() (runGetter, error)
	Now  func() time.Time
	ID   string
	JSON bool
}

func newRunWaitCmd(env *Env) *cobra.Command {
	o := &runWaitOptions{IO: env.IO, Now: time.Now, Runs: func() (runGetter, error) { return env.client() }}
	return &cobra.Command{
		Use:   "wait RUN",
		Short: "Follow a run to its end",
		Long: `wait shows the stages of a run as racker bootstrap does, until the run ends. Ctrl-C leaves; the run goes on.

Exit codes: 0 all nodes of the run are ready; 1 it failed, or no daemon answers; 2 usage, or no such run; 3 some nodes failed;
6 a BMC or node is unreachable; 130 left, and the run goes on.`,
		Example: "  racker run wait run-abc123",
		Args:    oneWord("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.ID = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
}

func (o *runWaitOptions) run(ctx context.Context) error {
	c, err := o.Runs()
	if err != nil {
		return err
	}
	v, err := c.Run(ctx, o.ID)
	if err != nil {
		return err
	}
	f := newFollower(o.IO, c, o.Now)
	if v, err = f.follow(ctx, v); err != nil {
		return err
	}
	return finish(o.IO, &v, o.Now(), o.JSON)
}
