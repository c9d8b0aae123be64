package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// runCanceller stops a run.
type runCanceller interface {
	CancelRun(ctx context.Context, id string) (api.RunView, error)
}

type runCancelOptions struct {
	IO   *stdio.Streams
	Runs func() (runCanceller, error)
	ID   string
	JSON bool
}

func newRunCancelCmd(env *Env) *cobra.Command {
	o := &runCancelOptions{IO: env.IO, Runs: func() (runCanceller, error) { return env.client() }}
	return &cobra.Command{
		Use:   "cancel RUN",
		Short: "Stop a run",
		Long: `cancel tells the daemon to stop a run. A node whose disk is half written stays in the microkernel and never boots from
that disk; racker bootstrap takes it up again.

Exit codes: 0 ok; 1 no daemon answers, or the run is over; 2 usage, or no such run.`,
		Example: "  racker run cancel run-abc123",
		Args:    oneWord("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.ID = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
}

func (o *runCancelOptions) run(ctx context.Context) error {
	c, err := o.Runs()
	if err != nil {
		return err
	}
	v, err := c.CancelRun(ctx, o.ID)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(v)
	}
	_, err = fmt.Fprintf(o.IO.Out, "%s is %s\n", v.ID, v.State)
	return err
}
