package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/stdio"
)

// replacer gives rows new hardware.
type replacer interface {
	rowKeeper
	Replace(ctx context.Context, node string, r api.Replace) (api.OrderView, error)
}

type nodeReplaceOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	Nodes    func() (replacer, error)

	Word                    string
	Primary, BMC, Secondary string
	JSON                    bool
	Names                   func(ctx context.Context, folder string) // has this machine know the nodes; nil does not
}

func newNodeReplaceCmd(env *Env) *cobra.Command {
	o := &nodeReplaceOptions{IO: env.IO, Settings: env.Settings, Nodes: func() (replacer, error) { return env.client() }}
	o.Names = env.namesAfter
	cmd := &cobra.Command{
		Use:   "replace NODE",
		Short: "Give a node new hardware: a mainboard, a BMC or a NIC",
		Long: `replace changes the MACs of a node in nodes.csv and in the daemon; its name, address and role stay. MACs that are not given
stay. It needs to be root. Everything else in the file stays byte for byte. A node that a run is at work on is refused. When a
step fails, nothing is half done: the same command again finishes it.

Exit codes: 0 ok, also when the row was so; 1 failed, or no daemon answers; 2 usage, or no such node; 5 another racker edits
nodes.csv.`,
		Example: "  racker node replace node-7 --primary 52:54:00:12:34:56 --bmc 52:54:00:12:34:57\n" +
			"  racker node replace node-7 --secondary 52:54:00:12:34:58",
		Args: oneWord("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.Word = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Primary, "primary", "", "new MAC of the NIC on the internal network")
	f.StringVar(&o.BMC, "bmc", "", "new MAC of the BMC")
	f.StringVar(&o.Secondary, "secondary", "", "new MAC of the NIC on the public network")
	return cmd
}

func (o *nodeReplaceOptions) run(ctx context.Context) error {
	set, err := parseMACs(o.Primary, o.BMC, o.Secondary)
	if err != nil {
		return err
	}
	if set == (rack.MACs{}) {
		return usageError("nothing is replaced: give --primary, --bmc or --secondary")
	}
	s, err := o.Settings()
	if err != nil {
		return err
	}
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	n, err := d.Node(ctx, o.Word)
	if err != nil {
		return err
	}
	if n.Management {
		return withHint(usageError("%s is the management node, which no order may touch", n.Name), "edit nodes.csv by hand")
	}
	f, err := openNodesFile(&s)
	if err != nil {
		return err
	}
	defer f.close()
	return o.replace(ctx, d, f, &n, set)
}

// replace prepares the file, has the daemon note the change, and then makes it.
func (o *nodeReplaceOptions) replace(ctx context.Context, d replacer, f *nodesFile, n *api.NodeView, set rack.MACs) error {
	was, err := rack.ParseMAC(n.PrimaryMAC)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	text, err := rack.ReplaceMACs(f.text, f.path, f.opt, was, set)
	if errors.Is(err, rack.ErrNoRow) && !set.Primary.IsZero() { // an earlier try came so far
		text, err = rack.ReplaceMACs(f.text, f.path, f.opt, set.Primary, set)
	}
	if err != nil {
		return withCode(codeUsage, err)
	}
	if err := f.stage(text); err != nil {
		return err
	}
	noted, err := d.Replace(ctx, n.PrimaryMAC, api.Replace{
		Primary: set.Primary.String(), BMC: set.BMC.String(), Secondary: set.Secondary.String(),
	})
	if err != nil {
		return err
	}
	if err := f.put(ctx, d, text); err != nil {
		return err
	}
	if set.Primary.IsZero() {
		set.Primary = was
	}
	v, err := f.shown(ctx, d, set.Primary)
	if err != nil {
		return err
	}
	if o.Names != nil {
		o.Names(ctx, "")
	}
	return o.answer(&v, f.path, noted.Changed || string(text) != string(f.text))
}

func (o *nodeReplaceOptions) answer(v *api.NodeView, path string, changed bool) error {
	if o.JSON {
		return o.IO.JSON(editedRow{Node: *v, Changed: changed, File: path})
	}
	if !changed {
		return o.IO.Outf("%s: its row has these MACs already\n", stdio.Clean(v.Where))
	}
	err := o.IO.Outf("%s: primary %s, BMC %s, secondary %s; its address is still %s\n",
		stdio.Clean(v.Where), v.PrimaryMAC, dash(v.BMCMAC), dash(v.SecondaryMAC), dash(v.Address))
	if err == nil {
		fmt.Fprintf(o.IO.Err, "Next: racker node boot %s disk when its disks came along, else racker node reprovision %s\n", v.Name, v.Name)
	}
	return err
}
