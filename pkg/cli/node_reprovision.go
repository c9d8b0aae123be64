package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// reprovisioner installs nodes afresh.
type reprovisioner interface {
	nodeFinder
	runKeeper
	imageLister
	erasePlanner
	Config(ctx context.Context, node string) (api.ConfigView, error)
	Reprovision(ctx context.Context, node string, r api.Reprovision) (api.RunView, error)
}

type nodeReprovisionOptions struct {
	nodeRunsOptions
	Nodes                  func() (reprovisioner, error)
	Image                  string
	OnFailure              string
	Retries                int
	SSHKeys                []string
	Yes, Wipe              bool
	WipeOldOS, WipeForeign bool
}

func newNodeReprovisionCmd(env *Env) *cobra.Command {
	o := &nodeReprovisionOptions{Nodes: func() (reprovisioner, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "reprovision NODE...",
		Short: "Install nodes afresh; their disks are erased",
		Long: `reprovision installs nodes again from scratch, also when they are ready: a system that is up is shut down, and its install
disk is ERASED and written anew. Other nodes are not touched. It shows the disks, and asks to type the name of each node; --yes
alone never allows a wipe, --yes and --wipe together do while the rule for the install disk fits exactly one, and no other disk
loses its signatures. Disks that were not shown, or are others by then, are asked about before the write.

Exit codes: 0 ready again, or detached; 1 failed, or no daemon answers; 2 usage, or no such node; 3 some nodes failed; 4 not
confirmed, or no terminal to ask on; 6 a BMC or node is unreachable; 130 left, and the run goes on.`,
		Example: "  racker node reprovision node-3\n" +
			"  racker node reprovision node-3 node-4 --onfailure retry --yes --wipe",
		Args: someWords("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Words = args
			return o.run(cmd.Context())
		},
	}
	o.setUp(env, cmd)
	f := cmd.Flags()
	f.StringVar(&o.Image, "image", "", "name or ID of an image (default that of the node's last install)")
	f.StringVar(&o.OnFailure, "onfailure", "", "when it fails: ask, retry, exclude or cancel (default ask)")
	f.IntVar(&o.Retries, "retries", defaultRetries, "how often it is tried again, with --onfailure retry or exclude")
	f.StringArrayVar(&o.SSHKeys, "ssh-key", nil, "file of public SSH keys that may log in (may be repeated)")
	f.BoolVar(&o.Yes, "yes", false, "with --wipe: do not ask")
	f.BoolVar(&o.Wipe, "wipe", false, "with --yes: the install disks may be erased")
	f.BoolVar(&o.WipeOldOS, "wipe-old-os", false, "erase the signatures of other disks that hold an older system")
	f.BoolVar(&o.WipeForeign, "wipe-foreign", false, "erase install disks that hold what racker did not put there, too")
	return cmd
}

func (o *nodeReprovisionOptions) run(ctx context.Context) error {
	order, err := o.checked()
	if err != nil {
		return err
	}
	d, err := o.Nodes()
	if err != nil {
		return err
	}
	if order.Image, err = o.image(ctx, d); err != nil {
		return err
	}
	nodes, err := namedNodes(ctx, d, o.Words)
	if err != nil {
		return err
	}
	shown, err := o.confirm(ctx, d, nodes, order)
	if err != nil {
		return err
	}
	return o.order(ctx, d, nodes, func(ctx context.Context, node string) (api.RunView, error) {
		own := order
		own.Shown = shown[node]
		return d.Reprovision(ctx, node, own)
	})
}

// checked finds what is wrong with the flags, and what could never be asked, before anything is touched.
func (o *nodeReprovisionOptions) checked() (r api.Reprovision, err error) {
	if err := o.validate(); err != nil {
		return r, err
	}
	if err := checkRetries(o.Retries); err != nil {
		return r, err
	}
	r.Retries, r.WipeOldOS, r.WipeForeign = o.Retries, o.WipeOldOS, o.WipeForeign
	if o.Yes && o.Wipe {
		r.Erase = api.EraseExact
	}
	if r.SSHKeys, err = readSSHKeys(o.SSHKeys); err != nil {
		return r, err
	}
	if r.OnFailure, err = failurePolicy(o.IO, o.OnFailure); givenCode(err) == codeUsage {
		return r, err
	}
	if (!o.Yes || !o.Wipe) && !o.IO.CanPrompt() {
		return r, withHint(withCode(codeNotConfirmed, errors.New("the install disks would be erased, and there is no terminal to ask on")),
			"--yes alone never allows a wipe: look at racker node show, then add --yes --wipe")
	}
	return r, err
}

// image gives the ID of the image that was named; "" leaves it to the daemon.
func (o *nodeReprovisionOptions) image(ctx context.Context, d imageLister) (string, error) {
	if o.Image == "" {
		return "", nil
	}
	id, err := findImage(ctx, d, o.Image)
	if id != "" || err != nil {
		return id, err
	}
	return "", withHint(usageError("--image %q: no such image was added", o.Image), "racker image list, or racker image add FILE")
}

// confirm shows what will be erased, and wants the name of each node typed unless --yes and --wipe were given. It gives the
// digests of the disks that were confirmed so, by primary MAC.
func (o *nodeReprovisionOptions) confirm(ctx context.Context, d reprovisioner, nodes []api.NodeView, order api.Reprovision) (map[string]string, error) {
	shown := map[string]string{}
	for i := range nodes {
		n, err := d.Node(ctx, nodes[i].PrimaryMAC)
		if err != nil {
			return nil, err
		}
		row, err := planReprovision(ctx, d, &n, order)
		if err != nil {
			return nil, err
		}
		o.show(&n, row)
		if o.Yes && o.Wipe {
			continue
		}
		if err := typeWord(ctx, o.IO, n.Name); err != nil {
			return nil, err
		}
		if row != nil && row.Refused == "" {
			shown[n.PrimaryMAC] = row.Digest
		}
	}
	return shown, nil
}

// planReprovision asks which disks would be erased; nil when that is not known.
func planReprovision(ctx context.Context, d reprovisioner, n *api.NodeView, order api.Reprovision) (*api.EraseRow, error) {
	ask := api.ErasePlan{Run: api.RunRequest{
		Provision: provisionImage, Image: cmp.Or(order.Image, n.Image), Nodes: []string{n.PrimaryMAC}, WipeOldOS: order.WipeOldOS, WipeForeign: order.WipeForeign,
	}}
	c, err := d.Config(ctx, n.PrimaryMAC)
	if err != nil {
		return nil, err
	}
	if digest := cmp.Or(c.AppliedDigest, c.WantedDigest); digest != "" { // as the daemon takes it
		ask.Run.Configs = map[string]string{n.PrimaryMAC: digest}
	}
	v, err := d.PlanErase(ctx, ask)
	if err != nil || len(v.Rows) == 0 {
		return nil, err
	}
	return &v.Rows[0], nil
}

func (o *nodeReprovisionOptions) show(n *api.NodeView, row *api.EraseRow) {
	disk := "not seen yet (racker node boot " + n.Name + " inventory finds it)"
	if row != nil && row.Disk.Path != "" {
		disk = strings.Join(nonEmpty(diskText(&row.Disk), alike(row.Matched)), ", ")
	}
	const indent = 4
	fmt.Fprintf(o.IO.Err, "%s is %s, power %s\n  Install disk, %s:\n    %s\n", stdio.Clean(cmp.Or(n.Where, n.Name)), stateText(n),
		dash(string(n.Power)), o.IO.PaintErr(stdio.Bad, "ERASED"), foldedErr(o.IO, stdio.Clean(disk), indent))
	for _, w := range rowWarnings(o.IO, row) {
		fmt.Fprintf(o.IO.Err, "  %s\n", foldedErr(o.IO, w, indent))
	}
	// What other disks held when the node was installed says nothing of those that are wiped now.
	if len(n.OtherOS) > 0 && row != nil && len(row.Wipes) == 0 {
		fmt.Fprintf(o.IO.Err, "  Not touched:\n    %s\n", foldedErr(o.IO, strings.Join(n.OtherOS, ", "), indent))
	}
}
