package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// upgrader updates the OS of nodes.
type upgrader interface {
	siteSource
	runKeeper
	UpgradeOS(ctx context.Context, node string, o api.OSUpgrade) (api.RunView, error)
	Updates(ctx context.Context) ([]api.UpdateView, error)
	PutUpdate(ctx context.Context, version, sha256 string, payload io.Reader) (api.UpdateView, error)
}

type osUpgradeOptions struct {
	IO       *stdio.Streams
	Daemon   func() (upgrader, error)
	Settings func() (config.Settings, error)
	Now      func() time.Time
	Take     func() (<-chan struct{}, func()) // Ctrl-C, for who asks first

	Words       []string
	Version     string
	Payload     string
	Health      string
	Folder      string // empty for the one in the operator's home
	SudoUser    string
	Yes, DryRun bool
	JSON        bool
}

func newOSUpgradeCmd(env *Env) *cobra.Command {
	o := &osUpgradeOptions{IO: env.IO, Now: time.Now, Take: env.interrupts.take, Settings: env.Settings,
		Daemon: func() (upgrader, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "upgrade [NODE...]",
		Short: "Update the OS of running nodes, one at a time",
		Long: `upgrade takes running nodes to another version of Flatcar Container Linux, one after the other: each fetches the payload from
racker over the internal network, flatcar-update puts it beside the running system, and the node reboots into it. A node must run
the version, and be well by the health command of cluster.yaml, before the next begins; the first failure stops it. A node whose
new system does not start comes back with the old one, which counts as a failure. Data is not touched.

The payload (flatcar_production_update.gz of that version) is sent to racker with --payload, once; where a file of the same name
with .sha256 is beside it, its digest must be the one in there. Nodes check it by that digest, and the payload's own signature.

Exit codes: 0 all nodes run the version; 1 failed; 2 usage, or no such update; 3 some nodes failed; 4 not confirmed, or no
terminal to ask on; 6 a node is unreachable; 130 left.`,
		Example: `  racker os upgrade --version 4593.2.5 --payload flatcar_production_update.gz
  racker os upgrade --version 4593.2.5 node-3 node-4 --yes`,
		Args: func(_ *cobra.Command, args []string) error { return noEmptyWord("NODE", args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.Words, o.Folder, o.SudoUser = env.JSON, args, env.takeConfigFolder(), env.sudoUser
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Version, "version", "", "version to run, such as 4593.2.5")
	f.StringVar(&o.Payload, "payload", "", "file of the update, to be sent to racker first")
	f.StringVar(&o.Health, "health", "", "command for a shell of the node that succeeds when it is well (default that of cluster.yaml)")
	f.BoolVar(&o.DryRun, "dry-run", false, "show which nodes would be updated, and change nothing")
	f.BoolVar(&o.Yes, "yes", false, "do not ask before it begins")
	return cmd
}

// osNode is one node of an upgrade, also as JSON.
type osNode struct {
	Node    string     `json:"node"`
	MAC     string     `json:"mac"`
	Running string     `json:"running,omitempty"` // what it runs, as it named it
	Wanted  string     `json:"wanted"`
	Result  string     `json:"result"` // up to date, updated, failed, not begun, or excluded
	Run     string     `json:"run,omitempty"`
	Error   *api.Error `json:"error,omitempty"`
	view    api.NodeView
	health  string
}

// Results of a node in an upgrade, besides those of an apply.
const (
	resultUpToDate = "up to date"
	resultUpdated  = "updated"
	resultLeftOut  = "excluded"
)

func (o *osUpgradeOptions) run(ctx context.Context) error {
	if o.Version == "" {
		return withHint(usageError("--version is missing"), "racker status shows which versions run")
	}
	d, err := o.Daemon()
	if err != nil {
		return err
	}
	nodes, err := o.plan(ctx, d)
	if err != nil {
		return err
	}
	todo := slices.DeleteFunc(slices.Clone(nodes), func(n *osNode) bool { return n.Result != resultNotBegun })
	if o.DryRun || len(todo) == 0 {
		return o.print(nodes)
	}
	if err := o.healths(ctx, d, todo); err != nil {
		return err
	}
	if err := o.confirm(ctx, todo); err != nil {
		return err
	}
	if err := o.send(ctx, d); err != nil {
		return err
	}
	for _, n := range todo {
		if err = o.upgrade(ctx, d, n); err != nil {
			break
		}
	}
	return o.finished(nodes, err)
}

// plan finds the nodes that do not run the version. All that are installed are meant when none is named; one that is not ready
// stops it before anything is done.
func (o *osUpgradeOptions) plan(ctx context.Context, d upgrader) ([]*osNode, error) {
	views, err := d.Nodes(ctx, false)
	if err != nil {
		return nil, err
	}
	named, err := macsOf(ctx, d, views, o.Words)
	if err != nil {
		return nil, err
	}
	out := []*osNode{}
	var blocked []string
	for _, v := range views {
		if v.Management || len(named) > 0 && !slices.Contains(named, v.PrimaryMAC) || len(named) == 0 && v.Image == "" {
			continue
		}
		n := &osNode{Node: v.Name, MAC: v.PrimaryMAC, Running: runningOS(&v), Wanted: o.Version, Result: resultNotBegun, view: v}
		switch {
		case v.State == stateExcluded:
			n.Result = resultLeftOut
		case v.OSVersion == o.Version:
			n.Result = resultUpToDate
		case v.State != stateReady:
			blocked = append(blocked, v.Name+" is "+stateText(&v))
		}
		out = append(out, n)
	}
	if len(blocked) > 0 && !o.DryRun {
		return nil, withHint(fmt.Errorf("nodes are in no state to be updated: %s", cutList(blocked)), "racker node show NODE; name the other nodes to leave these as they are")
	}
	return out, nil
}

// runningOS is what a node runs, by its version where racker knows it.
func runningOS(v *api.NodeView) string {
	if v.OSVersion != "" && !strings.Contains(v.OS, v.OSVersion) {
		return strings.TrimSpace(v.OS + " " + v.OSVersion)
	}
	return v.OS
}

// healths finds each node's health command. A rack without a cluster's folder has none.
func (o *osUpgradeOptions) healths(ctx context.Context, d upgrader, nodes []*osNode) error {
	for _, n := range nodes {
		n.health = o.Health
	}
	if o.Health != "" {
		return nil
	}
	dir := o.Folder
	if dir == "" {
		home, err := operatorHome(o.SudoUser)
		if err != nil {
			return err
		}
		dir = filepath.Join(home, clusterFolders()[provisionFlatcar][0])
	}
	folder, err := openCluster(dir, o.SudoUser)
	if err != nil {
		return err
	}
	defer folder.close()
	if err := folder.read(); err != nil {
		if errors.Is(err, errNoCluster) && o.Folder == "" {
			return nil
		}
		return err
	}
	s, err := o.Settings()
	if err != nil {
		return err
	}
	declared, _, err := folder.declare(ctx, d, s.Ports)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		for i := range declared {
			if declared[i].MAC() == n.MAC {
				n.health = declared[i].Spec.Health
			}
		}
	}
	return nil
}

// confirm shows what is to be updated, and wants the word yes typed unless --yes was given.
func (o *osUpgradeOptions) confirm(ctx context.Context, nodes []*osNode) error {
	fmt.Fprintf(o.IO.Err, "Update to %s and reboot, one after the other:\n", stdio.Clean(o.Version))
	for _, n := range nodes {
		text := n.view.Where + ": runs " + dash(n.Running)
		if n.health == "" {
			text += "; it has no health command: that it is back is enough"
		}
		fmt.Fprintf(o.IO.Err, "  %s\n", foldedErr(o.IO, text, 4))
	}
	if o.Yes {
		return nil
	}
	if !o.IO.CanPrompt() {
		return withHint(withCode(codeNotConfirmed, fmt.Errorf("%d nodes would reboot, and there is no terminal to ask on", len(nodes))),
			"look at racker os upgrade --dry-run, then add --yes")
	}
	return typeWord(ctx, o.IO, "yes")
}

// upgrade updates one node, and waits until it runs the version and is well.
func (o *osUpgradeOptions) upgrade(ctx context.Context, d upgrader, n *osNode) error {
	if ctx.Err() != nil {
		return withCode(codeInterrupted, fmt.Errorf("interrupted: %w", context.Cause(ctx)))
	}
	v, err := d.UpgradeOS(ctx, n.MAC, api.OSUpgrade{Version: o.Version, Health: n.health})
	if err != nil {
		n.fail(err)
		return err
	}
	if v.State == runDone && !v.Changed {
		n.Result = resultUpToDate
		return nil
	}
	n.Run = v.ID
	fmt.Fprintf(o.IO.Err, "%s: run %s\n", stdio.Clean(n.view.Where), v.ID)
	if v, err = newFollower(o.IO, d, o.Now, o.Take).follow(ctx, v); err != nil {
		n.Result = resultLeft
		return err
	}
	if err := runError(&v); err != nil {
		n.fail(err)
		return err
	}
	n.Result = resultUpdated
	return nil
}

func (n *osNode) fail(err error) { n.Result, n.Error = resultFailed, explained(err) }

// finished prints what became of all nodes, and gives the error that it deserves.
func (o *osUpgradeOptions) finished(nodes []*osNode, err error) error {
	if perr := o.print(nodes); perr != nil {
		return perr
	}
	done := slices.ContainsFunc(nodes, func(n *osNode) bool { return n.Result == resultUpdated })
	if err != nil && done && givenCode(err) != codeInterrupted {
		err = withCode(codeSomeNodes, err)
	}
	return withHint(err, "racker os upgrade --version "+o.Version+" goes on where this ended")
}

func (o *osUpgradeOptions) print(nodes []*osNode) error {
	if o.JSON {
		return o.IO.JSON(nodes)
	}
	t := o.IO.Table("node", "running", "wanted", "result").Spare(1)
	for _, n := range nodes {
		running := n.Running
		if n.Result == resultUpdated {
			running = n.Wanted
		}
		t.Row(n.Node, dash(running), n.Wanted, n.Result)
	}
	return t.Flush()
}
