package cli

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// rotator gives the nodes a new key of racker's.
type rotator interface {
	Key(ctx context.Context) (api.KeyView, error)
	RotateKey(ctx context.Context) (api.KeyRotation, error)
}

type keyRotateOptions struct {
	IO   *stdio.Streams
	Keys func() (rotator, error)
	JSON bool
}

func newKeyRotateCmd(env *Env) *cobra.Command {
	o := &keyRotateOptions{IO: env.IO, Keys: func() (rotator, error) { return env.client() }}
	return &cobra.Command{
		Use:   "rotate",
		Short: "Give the nodes a new SSH key of racker's for the old one",
		Long: `rotate changes the key by which racker logs in to installed nodes, while they run: each node gets the new one beside the
old one, racker logs in with the new one alone, removes the old one, and sees that it is refused. Operators' keys are not touched.

A node that is off, or cannot be reached, keeps the old key, and racker keeps it for that node; the same command again goes on
with the same new key. The daemon does the work: it goes on when this command is left, and when the daemon was killed.

Exit codes: 0 no node takes the old key; 1 failed, or no daemon answers; 2 usage; 3 nodes are left, and listed; 130 left, and
the daemon goes on.`,
		Example: "  racker key rotate\n  racker key rotate --json | jq -r '.left[].node'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
}

// rotateLook is how often the progress of a rotation is looked at.
const rotateLook = time.Second

func (o *keyRotateOptions) run(ctx context.Context) error {
	d, err := o.Keys()
	if err != nil {
		return err
	}
	line := &liveLine{io: o.IO}
	var watching sync.WaitGroup
	seen, stop := context.WithCancel(ctx)
	watching.Go(func() { o.watch(seen, d, line) })
	v, err := d.RotateKey(ctx)
	stop()
	watching.Wait()
	line.clear()
	if err != nil {
		return err
	}
	if o.JSON {
		err = o.IO.JSON(v)
	} else {
		err = o.answer(&v)
	}
	if err != nil || v.Code == codeOK {
		return err
	}
	return withHint(withCode(v.Code, fmt.Errorf("%s still %s the old key", nodeCount(len(v.Left)), plural(len(v.Left), "takes", "take"))),
		"racker key rotate, when they are up again")
}

// watch shows how far the daemon is.
func (o *keyRotateOptions) watch(ctx context.Context, d rotator, line *liveLine) {
	tick := time.NewTicker(rotateLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		v, err := d.Key(ctx)
		if err == nil && v.Next != nil && ctx.Err() == nil {
			line.show(fmt.Sprintf("Rotating racker's SSH key (%d/%d)", v.Next.Done, v.Next.Done+len(v.Next.Left)), "")
		}
	}
}

func (o *keyRotateOptions) answer(v *api.KeyRotation) error {
	now := v.Key.Fingerprint
	if v.Key.Next != nil {
		now = v.Key.Next.Fingerprint
	}
	if err := o.IO.Outf("racker's SSH key: %s, on %s\n", now, nodeCount(v.Done)); err != nil {
		return err
	}
	for _, l := range v.Left {
		if err := o.IO.Outf("  %s: %s\n", stdio.Clean(l.Node), stdio.Clean(cmp.Or(l.Why, "not tried yet"))); err != nil {
			return err
		}
	}
	return nil
}

func nodeCount(n int) string { return fmt.Sprintf("%d %s", n, plural(n, "node", "nodes")) }

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
