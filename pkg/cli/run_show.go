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

// oneRunOptions is what the commands about one run have in common.
type oneRunOptions struct {
	IO   *stdio.Streams
	Runs func() (runKeeper, error)
	Now  func() time.Time
	Take func() (<-chan struct{}, func()) // Ctrl-C, for who asks first
	ID   string
	JSON bool
}

// oneRunCmd finishes the command about one run that do carries out.
func oneRunCmd(env *Env, o *oneRunOptions, cmd *cobra.Command, do func(context.Context) error) *cobra.Command {
	o.IO, o.Now, o.Take = env.IO, time.Now, env.interrupts.take
	o.Runs = func() (runKeeper, error) { return env.client() }
	cmd.Args = oneWord("RUN")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.JSON, o.ID = env.JSON, args[0]
		return do(cmd.Context())
	}
	return cmd
}

// get asks for the run.
func (o *oneRunOptions) get(ctx context.Context) (runKeeper, api.RunView, error) {
	c, err := o.Runs()
	if err != nil {
		return nil, api.RunView{}, err
	}
	v, err := c.Run(ctx, o.ID)
	return c, v, err
}

type runShowOptions struct{ oneRunOptions }

func newRunShowCmd(env *Env) *cobra.Command {
	o := &runShowOptions{}
	return oneRunCmd(env, &o.oneRunOptions, &cobra.Command{
		Use:   "show RUN",
		Short: "Show how far a run is",
		Long: `show prints the stages of a run and a row per node of it, what failed, which nodes it asks about and which it holds in the
microkernel. racker run wait follows a run to its end, and answers its questions.

Exit codes: 0 ok, whatever became of the run; 1 no daemon answers; 2 usage, or no such run.`,
		Example: "  racker run show run-abc123\n  racker run show run-abc123 --json",
	}, o.run)
}

func (o *runShowOptions) run(ctx context.Context) error {
	_, v, err := o.get(ctx)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(v)
	}
	if err := o.head(&v); err != nil {
		return err
	}
	if v.Erase != nil {
		io := *o.IO
		io.Err, io.ErrTTY = io.Out, io.OutTTY
		if err := o.IO.Outf("%s\nDigest: %s\n\n", eraseText(&io, v.Erase), v.Erase.Digest); err != nil {
			return err
		}
	}
	return runResult(o.IO, &v, o.Now())
}

func (o *runShowOptions) head(v *api.RunView) error {
	out := o.IO.Out
	fmt.Fprintf(out, "Run: %s\nState: %s\nImage: %s\nBegan: %s\n",
		v.ID, o.IO.Paint(runColor(v.State), runStateText(v)), dash(v.Image), moment(o.IO, o.Now(), v.Began))
	if !v.Ended.IsZero() {
		fmt.Fprintf(out, "Ended: %s, after %s\n", moment(o.IO, o.Now(), v.Ended), v.Ended.Sub(v.Began).Round(time.Second))
	}
	if v.Reason != "" {
		fmt.Fprintf(out, "Reason: %s\n", stdio.Clean(v.Reason))
	}
	for _, rule := range runRules(&v.Request, o.IO, o.Now()) {
		fmt.Fprintln(out, rule)
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
