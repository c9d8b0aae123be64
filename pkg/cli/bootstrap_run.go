package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

func (o *bootstrapOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	d, err := o.Daemon()
	if err != nil {
		return err
	}
	if o.DryRun {
		return o.dryRun(ctx, d)
	}
	v, going, err := o.inProgress(ctx, d)
	if err != nil {
		return err
	}
	if going {
		fmt.Fprintf(o.IO.Err, "Run %s is in progress: following it\n", v.ID)
		return o.follow(ctx, d, v)
	}
	if v, err = o.submit(ctx, d); err != nil {
		return err
	}
	if v.State == runDone && !v.Changed {
		fmt.Fprintln(o.IO.Err, "All servers are as ordered: nothing was done")
		o.names(ctx)
		return finish(o.IO, &v, o.Now(), o.JSON)
	}
	fmt.Fprintf(o.IO.Err, "Run %s\n", v.ID)
	return o.follow(ctx, d, v)
}

// follow shows the run to its end, or only names it.
func (o *bootstrapOptions) follow(ctx context.Context, d runKeeper, v api.RunView) error {
	if o.Detach {
		return printDetached(o.IO, []api.RunView{v}, o.JSON)
	}
	v, err := newFollower(o.IO, d, o.Now, o.Take).follow(ctx, v)
	if err != nil {
		return err
	}
	o.names(ctx)
	return finish(o.IO, &v, o.Now(), o.JSON)
}

// names has this machine know the nodes, once they are what they are.
func (o *bootstrapOptions) names(ctx context.Context) {
	if o.Names != nil {
		o.Names(ctx, o.Config)
	}
}

// validate finds what is wrong with the flags, and what could never be asked, before anything is touched.
func (o *bootstrapOptions) validate() error {
	switch {
	case o.Canary && o.NoCanary:
		return usageError("--canary and --no-canary exclude each other")
	case o.StopAt != "" && o.StopAt != api.StopAtAgent:
		return usageError("--stop-at %q: want agent", o.StopAt)
	case o.MinReady < 0 || o.MinReady == 0 && o.Given("min-ready"):
		return usageError("--min-ready %d: want at least 1", o.MinReady)
	}
	if err := errors.Join(checkRetries(o.Retries), o.provisionFlags()); err != nil {
		return err
	}
	if err := o.fill(); err != nil {
		return err
	}
	policy, err := failurePolicy(o.IO, o.OnFailure)
	o.request.OnFailure = policy
	if givenCode(err) != codeUsage && !o.Yes && !o.DryRun && !o.IO.CanPrompt() {
		return withHint(withCode(codeNotConfirmed, errors.New("the install disks would be erased, and there is no terminal to ask on")),
			"look at racker node list, then add --yes")
	}
	return err
}

// fill makes the request of the flags, but for what it takes the daemon to know.
func (o *bootstrapOptions) fill() (err error) {
	o.request = api.RunRequest{
		Provision: o.Provision, Exclude: strings.Fields(o.Exclude), Retries: o.Retries, PowerCycleRunning: o.PowerCycleRunning,
		StopAt: o.StopAt, MinReady: o.MinReady, CommandLineForAudit: o.commandLine, WipeOldOS: o.WipeOldOS, WipeForeign: o.WipeForeign,
	}
	if o.Yes {
		o.request.Erase = api.EraseExact
	}
	switch {
	case o.Canary:
		o.request.Canary = api.CanaryOn
	case o.NoCanary:
		o.request.Canary = api.CanaryOff
	}
	if o.NotAfter != "" {
		if o.request.NotAfter, o.relative, err = notAfter(o.NotAfter, o.Now()); err != nil {
			return err
		}
	}
	o.keys, err = readSSHKeys(o.SSHKeys)
	if o.Provision != provisionFlatcar { // there they are in the configs
		o.request.SSHKeys = o.keys
	}
	return err
}

// submit orders the run after everything was looked at, shown and confirmed.
func (o *bootstrapOptions) submit(ctx context.Context, d provisioner) (api.RunView, error) {
	if err := freshRows(ctx, d, o.IO); err != nil {
		return api.RunView{}, err
	}
	if err := o.possible(ctx, d); err != nil {
		return api.RunView{}, err
	}
	plan, err := o.plan(ctx, d)
	if err != nil {
		return api.RunView{}, err
	}
	if len(plan.install) > 0 {
		if err := o.confirm(ctx, plan); err != nil {
			return api.RunView{}, err
		}
	}
	req := o.request
	if req.Image, err = o.image(ctx, d); err != nil {
		return api.RunView{}, err
	}
	req.Nodes = plan.macs()
	if !o.Yes {
		req.Shown = plan.shown()
	}
	if o.cluster != nil {
		if req.Configs, err = o.sendConfigs(ctx, d, req.Nodes); err != nil {
			return api.RunView{}, err
		}
	}
	return d.SubmitRun(ctx, req)
}

// possible finds what would make the run fail before anything is asked, shown or sent.
func (o *bootstrapOptions) possible(ctx context.Context, d provisioner) error {
	if o.Config == "" {
		home, err := o.Home()
		if err != nil {
			return err
		}
		if err := checkClusterFolder(home, o.Provision); err != nil {
			return err
		}
	}
	switch {
	case o.Provision == provisionFlatcar:
		if err := o.openFolder(ctx, d); err != nil {
			return err
		}
		if err := o.folderImages(ctx, d); err != nil {
			return err
		}
	case !isFile(o.Image):
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

// image gives the ID of the image to install. A file is sent first, unless the daemon holds it.
func (o *bootstrapOptions) image(ctx context.Context, d imageKeeper) (string, error) {
	if o.imageID != "" {
		return o.imageID, nil
	}
	var err error
	if o.cluster != nil && !o.cluster.sends(o.Image) {
		if len(o.cluster.nodes) > 0 {
			o.imageID, err = findImage(ctx, d, o.cluster.nodes[0].Config.Image)
		}
		return o.imageID, err
	}
	if isFile(o.Image) {
		var img api.ImageView
		s := imageSender{io: o.IO, images: d, line: liveLine{io: o.IO}}
		img, err = s.send(ctx, o.Image, "", "")
		o.imageID = img.ID
	} else {
		o.imageID, err = o.heldImage(ctx, d)
	}
	return o.imageID, err
}

// heldImage gives the ID of an image that the daemon holds by its name or ID.
func (o *bootstrapOptions) heldImage(ctx context.Context, d imageLister) (string, error) {
	id, err := findImage(ctx, d, o.Image)
	if id != "" || err != nil {
		return id, err
	}
	return "", withHint(usageError("--image %q: neither a file nor an image that was added", o.Image), "racker image list")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
