package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// statusSource is what the status is made of.
type statusSource interface {
	Rack(ctx context.Context) (api.RackView, error)
	Nodes(ctx context.Context, refresh bool) ([]api.NodeView, error)
	Node(ctx context.Context, word string) (api.NodeView, error)
	Leases(ctx context.Context) ([]api.LeaseView, error)
}

type statusOptions struct {
	IO     *stdio.Streams
	Source func() (statusSource, error)
	Now    func() time.Time
	Full   bool
	JSON   bool
}

// statusView is the status as JSON.
type statusView struct {
	Rack   api.RackView    `json:"rack"`
	Nodes  []api.NodeView  `json:"nodes"`
	Leases []api.LeaseView `json:"leases,omitempty"` // with --full
}

func newStatusCmd(env *Env) *cobra.Command {
	o := &statusOptions{IO: env.IO, Now: time.Now, Source: func() (statusSource, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every node of the rack: its power, its state, what is wrong",
		Long: `status asks the daemon, and through it every BMC at once, and prints a row per node; what failed is listed below with
the place of the node and the reason. --full adds everything that is known of each node, and the leases.

In a pipe the columns are separated by tabs: name, primary MAC, BMC reached, power, state, since when, address, reason.

Exit codes: 0 the status was read, whatever it says; 1 no daemon answers; 2 usage.`,
		Example: "  racker status\n  racker status --full\n  racker status --json | jq '.nodes[] | select(.state != \"ready\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.Full, "full", false, "everything that is known of each node")
	return cmd
}

func (o *statusOptions) run(ctx context.Context) error {
	v, err := o.read(ctx)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(v)
	}
	if err := o.head(&v.Rack); err != nil {
		return err
	}
	if err := nodeTable(o.IO, v.Nodes, o.Now()); err != nil {
		return err
	}
	if err := troubles(o.IO, v.Nodes); err != nil {
		return err
	}
	if err := runningAgainstWanted(o.IO, v.Nodes); err != nil {
		return err
	}
	if !o.Full {
		return nil
	}
	for i := range v.Nodes {
		fmt.Fprintln(o.IO.Out)
		if err := nodeReport(o.IO, &v.Nodes[i], o.Now()); err != nil {
			return err
		}
	}
	return o.leases(v.Leases)
}

func (o *statusOptions) read(ctx context.Context) (*statusView, error) {
	src, err := o.Source()
	if err != nil {
		return nil, err
	}
	v := &statusView{}
	if v.Rack, err = src.Rack(ctx); err != nil {
		return nil, err
	}
	if v.Nodes, err = src.Nodes(ctx, true); err != nil {
		return nil, err
	}
	if !o.Full {
		return v, nil
	}
	for i := range v.Nodes {
		if v.Nodes[i], err = src.Node(ctx, v.Nodes[i].PrimaryMAC); err != nil {
			return nil, err
		}
	}
	v.Leases, err = src.Leases(ctx)
	return v, err
}

// head prints what holds for the rack as a whole.
func (o *statusOptions) head(r *api.RackView) error {
	provisioned := r.Provision
	if provisioned == "" {
		provisioned = "no"
	}
	_, err := fmt.Fprintf(o.IO.Out, "Provisioned: %s\nInternal network: %s, %s on %s\nRacker: %s\n",
		provisioned, dash(r.Network), dash(r.Server), dash(r.Interface), dash(r.Version))
	for _, w := range r.Warnings {
		_, err = fmt.Fprintln(o.IO.Out, o.IO.Paint(stdio.Warn, "Warning: ")+stdio.Clean(w))
	}
	if err == nil {
		_, err = fmt.Fprintln(o.IO.Out)
	}
	return err
}

func (o *statusOptions) leases(leases []api.LeaseView) error {
	if len(leases) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(o.IO.Out, "\nLeases:"); err != nil {
		return err
	}
	t := o.IO.Table("address", "mac", "node", "role", "expires")
	for _, l := range leases {
		t.Row(l.Address, l.MAC, dash(l.Node), l.Role, expiry(o.IO, o.Now(), l.Expires))
	}
	return t.Flush()
}

// expiry shows the end of a lease.
func expiry(io *stdio.Streams, now, t time.Time) string {
	switch left := t.Sub(now); {
	case t.IsZero():
		return "-"
	case !io.OutTTY:
		return t.UTC().Format(time.RFC3339)
	case left <= 0:
		return "over"
	default:
		return "in " + left.Round(time.Second).String()
	}
}
