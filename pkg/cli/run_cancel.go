package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
)

// runCanceller stops a run.
type runCanceller interface {
	CancelRun(ctx context.Context, id string) (api.RunView, error)
}

type runCancelOptions struct{ oneRunOptions }

func newRunCancelCmd(env *Env) *cobra.Command {
	o := &runCancelOptions{}
	return oneRunCmd(env, &o.oneRunOptions, &cobra.Command{
		Use:   "cancel RUN",
		Short: "Stop a run",
		Long: `cancel tells the daemon to stop a run. A node whose disk is half written stays in the microkernel and never boots from
that disk; racker bootstrap takes it up again.

Exit codes: 0 ok; 1 no daemon answers, or the run is over; 2 usage, or no such run.`,
		Example: "  racker run cancel run-abc123",
	}, o.run)
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
	text := v.State
	if v.State == runRunning {
		text = "being cancelled; racker run wait " + v.ID + " follows it to its end"
	}
	_, err = fmt.Fprintf(o.IO.Out, "%s is %s\n", v.ID, text)
	return err
}
