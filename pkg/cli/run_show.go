package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// States of a run. They are part of the API.
const (
	runRunning   = "running"
	runDone      = "done"
	runFailed    = "failed"
	runCancelled = "cancelled"
)

// runGetter reads one run.
type runGetter interface {
	Run(ctx context.Context, id string) (api.RunView, error)
}

type runShowOptions struct {
	IO   *stdio.Streams
	Runs func() (runGetter, error)
	Now  func() time.Time
	ID   string
	JSON bool
}

func newRunShowCmd(env *Env) *cobra.Command {
	o := &runShowOptions{IO: env.IO, Now: time.Now, Runs: func() (runGetter, error) { return env.client() }}
	return &cobra.Command{
		Use:   "show RUN",
		Short: "Show how far a run is",
		Long: `show prints the stages of a run and a row per node of it, and what failed. racker run wait follows a run to its end.

Exit codes: 0 ok, whatever became of the run; 1 no daemon answers; 2 usage, or no such run.`,
		Example: "  racker run show run-abc123\n  racker run show run-abc123 --json",
		Args:    oneWord("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.ID = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
}

func (o *runShowOptions) run(ctx context.Context) error {
	c, err := o.Runs()
	if err != nil {
		return err
	}
	v, err := c.Run(ctx, o.ID)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(v)
	}
	if err := o.head(&v); err != nil {
		return err
	}
	return runResult(o.IO, &v, o.Now())
}

func (o *runShowOptions) head(v *api.RunView) error {
	out := o.IO.Out
	fmt.Fprintf(out, "Run: %s\nState: %s\nImage: %s\nBegan: %s\n",
		v.ID, o.IO.Paint(runColor(v.State), v.State), dash(v.Image), moment(o.IO, o.Now(), v.Began))
	if !v.Ended.IsZero() {
		fmt.Fprintf(out, "Ended: %s, after %s\n", moment(o.IO, o.Now(), v.Ended), v.Ended.Sub(v.Began).Round(time.Second))
	}
	if v.Reason != "" {
		fmt.Fprintf(out, "Reason: %s\n", stdio.Clean(v.Reason))
	}
	_, err := fmt.Fprintln(out)
	for _, s := range v.Stages {
		_, err = fmt.Fprintln(out, stageLine(o.IO.Paint, s))
	}
	if err == nil {
		_, err = fmt.Fprintln(out)
	}
	return err
}

// runResult prints a row per node of a run, who was left out, and what failed.
func runResult(io *stdio.Streams, v *api.RunView, now time.Time) error {
	if err := nodeTable(io, v.Nodes, now); err != nil {
		return err
	}
	for _, s := range v.Skipped {
		if _, err := fmt.Fprintln(io.Out, "Left out: "+stdio.Clean(s)); err != nil {
			return err
		}
	}
	return nil
}
