package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// runLister lists runs.
type runLister interface {
	Runs(ctx context.Context) ([]api.RunView, error)
}

type runListOptions struct {
	IO   *stdio.Streams
	Runs func() (runLister, error)
	Now  func() time.Time
	JSON bool
}

func newRunListCmd(env *Env) *cobra.Command {
	o := &runListOptions{IO: env.IO, Now: time.Now, Runs: func() (runLister, error) { return env.client() }}
	return &cobra.Command{
		Use:   "list",
		Short: "List the runs, the newest first",
		Long: `list prints a row per run: its ID, state with the questions that it waits for, image, when it began and ended, and why
it failed.

Exit codes: 0 ok; 1 no daemon answers; 2 usage.`,
		Example: "  racker run list\n  racker run list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
}

func (o *runListOptions) run(ctx context.Context) error {
	c, err := o.Runs()
	if err != nil {
		return err
	}
	runs, err := c.Runs(ctx)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(append([]api.RunView{}, runs...)) // [] when there is none, never null
	}
	if len(runs) == 0 && o.IO.OutTTY {
		o.IO.Errf("There is no run yet: racker bootstrap makes one.\n")
		return nil
	}
	t := o.IO.Table("run", "state", "image", "began", "ended", "reason").Spare(5, 2)
	for _, r := range runs {
		t.Row(r.ID, runStateText(&r), runImage(&r), moment(o.IO, o.Now(), r.Began), moment(o.IO, o.Now(), r.Ended), dash(r.Reason))
		t.Color(1, runColor(r.State))
	}
	return t.Flush()
}

func runColor(state string) stdio.Color {
	switch state {
	case runDone:
		return stdio.Good
	case runFailed:
		return stdio.Bad
	}
	return ""
}

// runImage shows the image of a run, or what a run without one does: it boots nodes.
func runImage(v *api.RunView) string {
	if v.Image == "" && v.Request.Provision != "" {
		return "boot " + v.Request.Provision
	}
	return shortID(v.Image)
}

// shortID shows an image's ID whole, so that it can be given back, and cuts what is longer.
func shortID(id string) string {
	const enough = 16
	if len(id) > enough {
		return id[:enough]
	}
	return dash(id)
}
