package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// nodeLister lists nodes; without refresh nothing is asked of any BMC.
type nodeLister interface {
	Nodes(ctx context.Context, refresh bool) ([]api.NodeView, error)
}

type nodeListOptions struct {
	IO    *stdio.Streams
	Nodes func() (nodeLister, error)
	Now   func() time.Time
	// Hosts tells how they are reached, for the other formats.
	Hosts  func() (hostLister, error)
	Format string
	JSON   bool
}

func newNodeListCmd(env *Env) *cobra.Command {
	o := &nodeListOptions{IO: env.IO, Now: time.Now, Nodes: func() (nodeLister, error) { return env.client() }}
	o.Hosts = func() (hostLister, error) { return env.client() }
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nodes as the daemon last saw them",
		Long: `list prints a row per node, as racker status does, from what the daemon knows already: no BMC is asked.
Other formats say how the nodes are reached: ansible is an inventory of those that are installed, hosts the lines of /etc/hosts,
known-hosts the host keys that racker gave them.

Exit codes: 0 ok; 1 no daemon answers; 2 usage.`,
		Example: "  racker node list\n  racker node list | cut -f 1,5\n  racker node list --json\n" +
			"  racker node list --format ansible >rack.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&o.Format, "format", formatTable, "what to print: "+strings.Join(listFormats(), ", "))
	return cmd
}

func (o *nodeListOptions) run(ctx context.Context) error {
	o.Format = cmp.Or(o.Format, formatTable)
	switch {
	case !slices.Contains(listFormats(), o.Format):
		return usageError("--format %q: want %s", o.Format, strings.Join(listFormats(), ", "))
	case o.Format != formatTable && o.JSON:
		return usageError("--format %s and --json are two answers", o.Format)
	case o.Format != formatTable:
		return o.export(ctx)
	}
	c, err := o.Nodes()
	if err != nil {
		return err
	}
	nodes, err := c.Nodes(ctx, false)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(nodes)
	}
	if err := nodeTable(o.IO, nodes, o.Now()); err != nil || !o.IO.OutTTY {
		return err // in a pipe a line per node and nothing else
	}
	return troubles(o.IO, nodes)
}
