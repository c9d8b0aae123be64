package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// nodeGetter finds one node by any of its names.
type nodeGetter interface {
	Node(ctx context.Context, word string) (api.NodeView, error)
}

type nodeShowOptions struct {
	IO   *stdio.Streams
	Node func() (nodeGetter, error)
	Now  func() time.Time
	Word string
	JSON bool
}

func newNodeShowCmd(env *Env) *cobra.Command {
	o := &nodeShowOptions{IO: env.IO, Now: time.Now, Node: func() (nodeGetter, error) { return env.client() }}
	return &cobra.Command{
		Use:   "show NODE",
		Short: "Show everything that is known of a node",
		Long: `show prints what nodes.csv says of a node, its state and why it is in it, its hardware and install disk, what the installed
system called back with (host name, host key fingerprints, units), the timeline of what was seen of it, and the end of its
log. NODE is its name, any of its MACs, its address, serial or UUID.

Exit codes: 0 ok; 1 no daemon answers; 2 usage, or no such node.`,
		Example: "  racker node show node-3\n  racker node show 52:54:00:12:34:56 --json",
		Args:    oneWord("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.Word = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
}

func (o *nodeShowOptions) run(ctx context.Context) error {
	c, err := o.Node()
	if err != nil {
		return err
	}
	n, err := c.Node(ctx, o.Word)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(n)
	}
	return nodeReport(o.IO, &n, o.Now())
}
