package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/stdio"
)

type nodeAddOptions struct {
	IO       *stdio.Streams
	Settings func() (config.Settings, error)
	Nodes    func() (rowKeeper, error)

	Primary, BMC, Secondary, BMCAddress string
	Row                                 rack.Node // the other values
	JSON                                bool
	Names                               func(ctx context.Context, folder string) // has this machine know the nodes; nil does not
}

// editedRow is what became of a row of nodes.csv, as JSON.
type editedRow struct {
	Node api.NodeView `json:"node"`
	// Changed is false when the row was there as ordered.
	Changed bool   `json:"changed"`
	File    string `json:"file"`
}

func newNodeAddCmd(env *Env) *cobra.Command {
	o := &nodeAddOptions{IO: env.IO, Settings: env.Settings, Nodes: func() (rowKeeper, error) { return env.client() }}
	o.Names = env.namesAfter
	cmd := &cobra.Command{
		Use:   "add --primary MAC --bmc MAC",
		Short: "Add a server to nodes.csv and to the rack",
		Long: `add writes a row at the end of nodes.csv, under its own header, and has the daemon read it: the server gets a name and the
lowest free address, and all others keep theirs. Nothing is powered or booted. It needs to be root. What stands in the file
stays byte for byte, comments too; a row that would make the file wrong is refused, and nothing is written then.

Exit codes: 0 ok, also when the row was there; 1 failed, or no daemon answers; 2 usage; 5 another racker edits nodes.csv.`,
		Example: "  racker node add --primary 52:54:00:12:34:56 --bmc 52:54:00:12:34:57\n" +
			"  racker node add --primary 52:54:00:12:34:56 --bmc-address 10.1.0.7 --type big",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Primary, "primary", "", "MAC of the NIC on the internal network")
	f.StringVar(&o.BMC, "bmc", "", "MAC of the BMC")
	f.StringVar(&o.BMCAddress, "bmc-address", "", "address of a BMC that has its own")
	f.StringVar(&o.Secondary, "secondary", "", "MAC of the NIC on the public network")
	f.StringVar(&o.Row.Type, "type", "", "node type")
	f.StringVar(&o.Row.Comment, "comment", "", "comment")
	f.StringVar(&o.Row.Name, "name", "", "name (default: the address plan gives one)")
	f.StringVar(&o.Row.Serial, "serial", "", "serial number")
	f.StringVar(&o.Row.Disk, "disk", "", "install disk: a WWN, a serial or a by-path name")
	f.StringVar(&o.Row.Location, "location", "", "where it stands")
	f.StringVar(&o.Row.Asset, "asset", "", "asset tag")
	return cmd
}

// row gives the row that the flags describe.
func (o *nodeAddOptions) row() (*rack.Node, error) {
	n := o.Row
	if o.Primary == "" {
		return nil, usageError("--primary is missing: the MAC of the NIC on the internal network")
	}
	if o.BMC == "" && o.BMCAddress == "" {
		return nil, usageError("--bmc is missing: the MAC of the BMC, or --bmc-address: a server without one cannot be powered")
	}
	set, err := parseMACs(o.Primary, o.BMC, o.Secondary)
	if err != nil {
		return nil, err
	}
	n.Primary, n.BMC, n.Secondary = set.Primary, set.BMC, set.Secondary
	if o.BMCAddress != "" {
		if n.BMCAddress, err = netip.ParseAddr(o.BMCAddress); err != nil {
			return nil, usageError("--bmc-address %q: want an address such as 10.1.0.7", o.BMCAddress)
		}
	}
	return &n, nil
}

// parseMACs reads the flags of a row's MACs; an empty one is none.
func parseMACs(primary, bmc, secondary string) (rack.MACs, error) {
	var out rack.MACs
	for _, f := range []struct {
		flag, text string
		into       *rack.MAC
	}{{"primary", primary, &out.Primary}, {"bmc", bmc, &out.BMC}, {"secondary", secondary, &out.Secondary}} {
		if f.text == "" {
			continue
		}
		m, err := rack.ParseMAC(f.text)
		if err != nil {
			return out, usageError("--%s %w", f.flag, err)
		}
		*f.into = m
	}
	return out, nil
}

func (o *nodeAddOptions) run(ctx context.Context) error {
	n, err := o.row()
	if err != nil {
		return err
	}
	s, err := o.Settings()
	if err != nil {
		return err
	}
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	if _, err := d.Rack(ctx); err != nil { // without a daemon nothing is written
		return err
	}
	f, err := openNodesFile(&s)
	if err != nil {
		return err
	}
	defer f.close()
	there, err := f.has(n)
	if err != nil {
		return err
	}
	text := f.text
	if !there {
		if text, err = rack.AddRow(f.text, f.path, f.opt, n); err != nil {
			return withCode(codeUsage, err)
		}
	}
	if err := f.put(ctx, d, text); err != nil {
		return err
	}
	if o.Names != nil {
		o.Names(ctx, "")
	}
	return o.answer(ctx, d, f, n.Primary, !there)
}

// has reports whether the file has this row already, as an add that was cut short leaves it.
func (f *nodesFile) has(n *rack.Node) (bool, error) {
	r, err := rack.ReadCSV(bytes.NewReader(f.text), f.path, f.opt)
	if err != nil {
		return false, err
	}
	for i := range r.Nodes {
		have := r.Nodes[i]
		have.Line, have.Management = n.Line, n.Management
		if have == *n {
			return true, nil
		}
	}
	return false, nil
}

func (o *nodeAddOptions) answer(ctx context.Context, d rowKeeper, f *nodesFile, primary rack.MAC, changed bool) error {
	v, err := f.shown(ctx, d, primary)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(editedRow{Node: v, Changed: changed, File: f.path})
	}
	what := "added to"
	if !changed {
		what = "already in"
	}
	if err := o.IO.Outf("%s: %s %s, address %s\n", stdio.Clean(v.Where), what, f.path, dash(v.Address)); err != nil {
		return err
	}
	if v.State == stateKnown {
		fmt.Fprintf(o.IO.Err, "Next: racker node reprovision %s --image NAME, or racker node adopt %s when it runs already\n", v.Name, v.Name)
	}
	return nil
}

// shown gives the node of a row as the daemon has it now.
func (f *nodesFile) shown(ctx context.Context, d rowKeeper, primary rack.MAC) (api.NodeView, error) {
	v, err := d.Node(ctx, primary.String())
	if err != nil {
		return v, withHint(fmt.Errorf("%s has the row, but the daemon does not: %w", f.path, err),
			"the daemon may read another nodes.csv: racker config show, --oem-dir")
	}
	if !strings.EqualFold(v.PrimaryMAC, primary.String()) {
		return v, fmt.Errorf("%s has the row of %s, but the daemon finds %s", f.path, primary, v.PrimaryMAC)
	}
	return v, nil
}
