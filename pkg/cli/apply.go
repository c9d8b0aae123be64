package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// applier is what an apply needs of the daemon.
type applier interface {
	rowReader
	siteSource
	runKeeper
	imageLister
	Config(ctx context.Context, node string) (api.ConfigView, error)
	PutConfig(ctx context.Context, node string, cfg api.NodeConfig) (api.ConfigView, error)
	Apply(ctx context.Context, node string, o api.ApplyOrder) (api.RunView, error)
	SubmitRun(ctx context.Context, req api.RunRequest) (api.RunView, error)
	erasePlanner
}

type applyOptions struct {
	IO       *stdio.Streams
	Daemon   func() (applier, error)
	Settings func() (config.Settings, error)
	Now      func() time.Time
	Take     func() (<-chan struct{}, func()) // Ctrl-C, for who asks first

	Folder         string // empty for the one in the operator's home
	SudoUser       string
	Words          []string
	DryRun, Yes    bool
	Detailed       bool
	AllowWipe      []string
	IgnoreChanges  []string
	Keep           []string
	MaxUnavailable int
	JSON           bool
	commandLine    string
}

// codeChanges is what --detailed-exitcode ends with when there is, or was, something to do. 2, which other programs use for it,
// is a wrong command line here.
const codeChanges = 10

func newApplyCmd(env *Env) *cobra.Command {
	o := &applyOptions{IO: env.IO, Now: time.Now, Take: env.interrupts.take, Settings: env.Settings,
		Daemon: func() (applier, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "apply [NODE...]",
		Short: "Bring running nodes to what the cluster's folder declares",
		Long: `apply compares what the cluster's folder declares with what is on each node, and shows a plan: what changes, and what that
costs. nothing: nothing is done to the node; live: files and services over SSH; reboot: and a reboot; wipe-root: ROOT is ERASED,
and Ignition runs again at the next boot; reinstall: the install disk is ERASED. The cheapest sufficient one is taken. New rows
of nodes.csv are installed. Nodes that are as declared are not touched.

It asks before it begins. Nodes change one after the other, or --max-unavailable at a time; each must be well again, by the
health command of cluster.yaml, before the next begins; the first failure stops it. Whatever erases a node's data wants that
node named by --allow-wipe; --yes never allows it. An executable file named drain in the folder is run before a node is
rebooted, and undrain after.

Ctrl-C leaves the node that is being changed to the daemon, and begins no other.

Exit codes: 0 all is as declared, or would be; 1 failed; 2 usage, or a mistake in the folder; 3 some nodes failed; 4 not
confirmed, no terminal to ask on, or a wipe that is not allowed; 6 a node is unreachable; 130 left. With --detailed-exitcode:
0 nothing to do; 10 there are changes (--dry-run), or changes were made.`,
		Example: `  racker apply --dry-run
  racker apply
  racker apply node-3 node-4 --allow-wipe node-3,node-4
  racker apply --dry-run --detailed-exitcode --json`,
		Args: func(_ *cobra.Command, args []string) error { return noEmptyWord("NODE", args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.Words, o.Folder, o.SudoUser = env.JSON, args, env.takeConfigFolder(), env.sudoUser
			o.commandLine = strings.Join(env.words, " ")
			err := o.run(cmd.Context())
			if code := givenCode(err); !o.DryRun && (err == nil || code == codeSomeNodes || code == codeChanges) {
				env.namesAfter(cmd.Context(), o.Folder)
			}
			return err
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

func (o *applyOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.DryRun, "dry-run", false, "show the plan, and change nothing")
	f.BoolVar(&o.Detailed, "detailed-exitcode", false, "end with 10 when there are changes")
	f.BoolVar(&o.Yes, "yes", false, "do not ask before it begins; never allows a wipe")
	f.StringSliceVar(&o.AllowWipe, "allow-wipe", nil, "nodes whose data may be erased, separated by commas")
	f.StringSliceVar(&o.IgnoreChanges, "ignore-changes", nil, "nodes that stay as they are, separated by commas")
	f.StringArrayVar(&o.Keep, "keep", nil, "path that survives wipe-root where the OS has flatcar-reset (may be repeated)")
	f.IntVar(&o.MaxUnavailable, "max-unavailable", 1, "how many nodes change at a time")
}

func (o *applyOptions) run(ctx context.Context) error {
	if o.MaxUnavailable < 1 {
		return usageError("--max-unavailable %d: want at least 1", o.MaxUnavailable)
	}
	folder, err := o.open()
	if err != nil {
		return err
	}
	defer folder.close()
	d, err := o.Daemon()
	if err != nil {
		return err
	}
	if err := freshRows(ctx, d, o.IO); err != nil {
		return err
	}
	p, err := o.plan(ctx, d, folder)
	if err != nil {
		return err
	}
	if o.DryRun || !p.any() {
		return o.planned(p)
	}
	if err := o.show(p); err != nil {
		return err
	}
	if err := p.possible(o); err != nil {
		return err
	}
	if err := o.confirm(ctx, p); err != nil {
		return err
	}
	if err := o.write(p); err != nil {
		return err
	}
	return o.carryOut(ctx, d, p)
}

// open reads the folder.
func (o *applyOptions) open() (*clusterFolder, error) {
	dir := o.Folder
	if dir == "" {
		home, err := operatorHome(o.SudoUser)
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(home, "flatcar-container-linux")
	}
	folder, err := openCluster(dir, o.SudoUser)
	if err != nil {
		return nil, err
	}
	if err := folder.read(); err != nil {
		folder.close()
		if errors.Is(err, errNoCluster) {
			err = withHint(withCode(codeUsage, err), "racker bootstrap --provision flatcar makes one; --config DIR names another")
		}
		return nil, err
	}
	return folder, nil
}

// planned is the end of an apply that changes nothing: the plan is the answer.
func (o *applyOptions) planned(p *applyPlan) error {
	var err error
	if o.JSON {
		err = o.IO.JSON(p.view())
	} else {
		out := *o.IO
		err = p.print(&out)
	}
	if err == nil && o.Detailed && p.any() {
		return withCode(codeChanges, errSilent)
	}
	return err
}

// show puts the plan before whoever confirms it.
func (o *applyOptions) show(p *applyPlan) error {
	io := *o.IO
	io.Out, io.OutTTY = io.Err, io.ErrTTY
	return p.print(&io)
}

// confirm wants the word yes typed, unless --yes was given.
func (o *applyOptions) confirm(ctx context.Context, p *applyPlan) error {
	if o.Yes {
		return nil
	}
	if !o.IO.CanPrompt() {
		return withHint(withCode(codeNotConfirmed, fmt.Errorf("%d nodes would change, and there is no terminal to ask on", p.count())),
			"look at racker apply --dry-run, then add --yes")
	}
	return typeWord(ctx, o.IO, "yes")
}

// write brings the generated files of the folder up to date, before anything is ordered.
func (o *applyOptions) write(p *applyPlan) error {
	s, err := o.Settings()
	if err != nil {
		return err
	}
	notes, err := p.folder.write(p.declared, filepath.Join(s.StateDir, "logs"))
	for _, note := range notes {
		o.IO.Errf("%s\n", foldedErr(o.IO, note, 2))
	}
	return err
}
