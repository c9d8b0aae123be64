package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// provisioner is what a bootstrap needs of the daemon.
type provisioner interface {
	imageKeeper
	runGetter
	nodeLister
	Rack(ctx context.Context) (api.RackView, error)
	SubmitRun(ctx context.Context, req api.RunRequest) (api.RunView, error)
}

type bootstrapOptions struct {
	IO     *stdio.Streams
	Daemon func() (provisioner, error)
	Now    func() time.Time

	Provision         string
	Image             string
	OnFailure         string
	Retries           int
	Exclude           string
	SSHKeys           []string
	PowerCycleRunning bool
	Yes, JSON         bool
	commandLine       string
}

func newBootstrapCmd(env *Env) *cobra.Command {
	o := &bootstrapOptions{IO: env.IO, Now: time.Now, Daemon: func() (provisioner, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Install the servers of the rack and bring them up",
		Long: `bootstrap installs an image on every server of nodes.csv at once: it checks all BMCs, powers the servers off and on, boots
them over the network, writes the image to their install disks, and waits until each has booted from its disk and called
back. What those disks hold is ERASED. Servers that are on are left alone unless --power-cycle-running is given.

It shows the servers and asks before it begins; without a terminal it wants --yes. The daemon does the work: Ctrl-C leaves, and
the run goes on; racker run wait follows it again. Progress goes to stderr, the result to stdout.

Exit codes: 0 all servers are ready; 1 failed; 2 usage; 3 some servers failed; 4 not confirmed, or no terminal and no
--yes; 6 a BMC or server is unreachable; 130 left.`,
		Example: `  racker bootstrap --image flatcar_production_image.bin.bz2
  racker bootstrap --image flatcar --onfailure retry --exclude 'node-7 node-9'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			o.commandLine = strings.Join(os.Args, " ")
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Provision, "provision", "image", "what to install: image")
	f.StringVar(&o.Image, "image", "", "file of a disk image, or name or ID of one that was added before")
	f.StringVar(&o.OnFailure, "onfailure", "cancel", "when a server fails: cancel or retry")
	f.IntVar(&o.Retries, "retries", 3, "how often a server is tried again, with --onfailure retry")
	f.StringVar(&o.Exclude, "exclude", "", "servers to leave out, separated by blanks: MACs, or any other name of a node")
	f.StringArrayVar(&o.SSHKeys, "ssh-key", nil, "file of public SSH keys that may log in to the servers (may be repeated)")
	f.BoolVar(&o.PowerCycleRunning, "power-cycle-running", false, "install servers that are on, too")
	f.BoolVar(&o.Yes, "yes", false, "do not ask")
	return cmd
}

func (o *bootstrapOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	keys, err := readSSHKeys(o.SSHKeys)
	if err != nil {
		return err
	}
	if !o.Yes && !o.IO.CanPrompt() {
		return withHint(withCode(codeNotConfirmed, errors.New("the install disks would be erased, and there is no terminal to ask on")),
			"look at racker node list, then add --yes")
	}
	d, err := o.Daemon()
	if err != nil {
		return err
	}
	if err := o.possible(ctx, d); err != nil {
		return err
	}
	plan, err := o.plan(ctx, d)
	if err != nil {
		return err
	}
	if err := o.confirm(ctx, plan); err != nil {
		return err
	}
	image, err := o.image(ctx, d)
	if err != nil {
		return err
	}
	v, err := d.SubmitRun(ctx, api.RunRequest{
		Provision: o.Provision, Image: image, Nodes: plan.macs(), Exclude: strings.Fields(o.Exclude),
		OnFailure: o.OnFailure, Retries: o.Retries, PowerCycleRunning: o.PowerCycleRunning,
		SSHKeys: keys, CommandLineForAudit: o.commandLine,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.IO.Err, "Run %s\n", v.ID)
	if v, err = newFollower(o.IO, d, o.Now).follow(ctx, v); err != nil {
		return err
	}
	return finish(o.IO, &v, o.Now(), o.JSON)
}

func (o *bootstrapOptions) validate() error {
	switch {
	case o.Provision != "image":
		return usageError("--provision %q: this version provisions: image", o.Provision)
	case o.Image == "":
		return withHint(usageError("--image is missing: a file, or the name of an image"), "racker image list")
	case o.OnFailure != "cancel" && o.OnFailure != "retry":
		return usageError("--onfailure %q: want cancel or retry", o.OnFailure)
	case o.Retries < 0 || o.Retries > maxRetries:
		return usageError("--retries %d: want 0 to %d", o.Retries, maxRetries)
	}
	return nil
}

// maxRetries is the most that the daemon takes.
const maxRetries = 100

// image gives the ID of the image to install. A file is sent first, unless the daemon holds it.
func (o *bootstrapOptions) image(ctx context.Context, d imageKeeper) (string, error) {
	if info, err := os.Stat(o.Image); err == nil && !info.IsDir() {
		s := imageSender{io: o.IO, images: d, line: liveLine{io: o.IO}}
		img, err := s.send(ctx, o.Image, "", "")
		return img.ID, err
	}
	return o.heldImage(ctx, d)
}

// heldImage gives the ID of an image that the daemon holds by its name or ID.
func (o *bootstrapOptions) heldImage(ctx context.Context, d imageKeeper) (string, error) {
	images, err := d.Images(ctx)
	if err != nil {
		return "", err
	}
	for _, img := range images {
		if img.ID == o.Image || img.Name == o.Image {
			return img.ID, nil
		}
	}
	return "", withHint(usageError("--image %q: neither a file nor an image that was added", o.Image), "racker image list")
}

// possible finds what would make the run fail before anything is asked, shown or sent.
func (o *bootstrapOptions) possible(ctx context.Context, d provisioner) error {
	if info, err := os.Stat(o.Image); err != nil || info.IsDir() {
		if _, err := o.heldImage(ctx, d); err != nil {
			return err
		}
	}
	r, err := d.Rack(ctx)
	if err != nil {
		return err
	}
	if r.Microkernel == "" {
		return withHint(errors.New("there is no microkernel that servers could boot to be installed"), "racker microkernel build --help")
	}
	return nil
}
