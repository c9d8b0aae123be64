package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
)

type runWaitOptions struct {
	oneRunOptions
	OnFailure string
	Retries   int
	Erase     string
}

func newRunWaitCmd(env *Env) *cobra.Command {
	o := &runWaitOptions{}
	cmd := oneRunCmd(env, &o.oneRunOptions, &cobra.Command{
		Use:   "wait RUN",
		Short: "Follow a run to its end, and answer its questions",
		Long: `wait shows the stages of a run as racker bootstrap does, until the run ends. A run that was told to ask what to do about
servers that fail asks here, on whichever terminal answers first; with --onfailure wait answers by itself, on no terminal too.
Ctrl-C asks whether to leave, a second one leaves; the run goes on.

Before the first write it shows the disks that are to be erased, and asks; without a terminal --erase confirms the table with
that digest, which the error of a run that nobody could be asked about names. No other table is confirmed by it.

Exit codes: 0 all nodes of the run are ready; 1 it failed, or no daemon answers; 2 usage, or no such run; 3 some nodes failed;
4 disks wait to be confirmed, and there is no terminal to ask on, or the table is another than --erase says; 6 a BMC or node is unreachable; 130 left, and the run goes on.`,
		Example: "  racker run wait run-abc123\n  racker run wait run-abc123 --onfailure exclude",
	}, o.run)
	f := cmd.Flags()
	f.StringVar(&o.OnFailure, "onfailure", "", "answer the questions of the run: retry, exclude or cancel")
	f.StringVar(&o.Erase, "erase", "", "confirm the disks to be erased when their table has this digest")
	f.IntVar(&o.Retries, "retries", defaultRetries, "how often --onfailure retry tries a server again before it cancels")
	return cmd
}

func (o *runWaitOptions) run(ctx context.Context) error {
	switch o.OnFailure {
	case "", api.OnFailureRetry, api.OnFailureExclude, api.OnFailureCancel:
	default:
		return usageError("--onfailure %q: want retry, exclude or cancel", o.OnFailure)
	}
	if err := checkRetries(o.Retries); err != nil {
		return err
	}
	if o.Erase != "" && len(o.Erase) < shownDigest {
		return usageError("--erase %q: want the %d digits that racker shows, or more", o.Erase, shownDigest)
	}
	c, v, err := o.get(ctx)
	if err != nil {
		return err
	}
	f := newFollower(o.IO, c, o.Now, o.Take)
	f.onFailure, f.retries, f.erase.given = o.OnFailure, o.Retries, o.Erase
	if v, err = f.follow(ctx, v); err != nil {
		return err
	}
	return finish(o.IO, &v, o.Now(), o.JSON)
}
