package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// imagePuller lets the daemon fetch images.
type imagePuller interface {
	imageKeeper
	Pull(ctx context.Context, o api.ImagePull) (api.PullView, error)
	Pulls(ctx context.Context) ([]api.PullView, error)
	PullOf(ctx context.Context, id string) (api.PullView, error)
	CancelPull(ctx context.Context, id string) (api.PullView, error)
	AddSignedImage(ctx context.Context, add api.ImageAdd, parts api.ImageParts, body io.Reader, progress func(stage string, done int64)) (api.ImageView, error)
	ChangeImage(ctx context.Context, id string, c api.ImageChange) (api.ImageView, error)
}

type imagePullOptions struct {
	IO      *stdio.Streams
	Images  func() (imagePuller, error)
	OS      string
	Channel string
	Version string
	Arch    string
	Name    string
	Profile string
	From    string
	Detach  bool
	Show    bool
	Cancel  bool
	JSON    bool
}

func newImagePullCmd(env *Env) *cobra.Command {
	o := &imagePullOptions{IO: env.IO, Images: func() (imagePuller, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "pull [flatcar]",
		Short: "Fetch a release of an operating system, and verify its signature",
		Long: `pull lets the daemon fetch a release from its vendor's server, or from the mirror of image.mirror in racker.yaml. Nothing of it is
used before its OpenPGP signature is verified under the pinned key (image.key_fingerprint). A download that was cut off goes on where
it was; Ctrl-C leaves, and the daemon goes on. One pull is under way at a time: the same one again joins it.

--from DIR takes the files from a directory, such as a USB stick, with the same checks: version.txt, flatcar_production_image.bin.bz2,
the .sig of each, and, unless the daemon has it, the vendor's key as a file that ends in .asc.

Exit codes: 0 ok; 1 failed, or no daemon answers; 2 usage, or no such release; 130 left, the daemon goes on.`,
		Example: `  racker image pull flatcar
  racker image pull flatcar --channel lts --version 4081.3.10
  racker image pull flatcar --from /media/usb
  racker image pull --show`,
		Args: atMostOneWord("system"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON = env.JSON
			if len(args) > 0 {
				o.OS = args[0]
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Channel, "channel", "", "stable, beta, alpha or lts (default: stable)")
	f.StringVar(&o.Version, "version", "", "version (default: the channel's current one)")
	f.StringVar(&o.Arch, "arch", "", "amd64 or arm64 (default: amd64)")
	f.StringVar(&o.Name, "name", "", "name of the image (default: flatcar-VERSION)")
	f.StringVar(&o.Profile, "profile", "", "kind of the image (default: flatcar)")
	f.StringVar(&o.From, "from", "", "directory with the files of the release, instead of the server")
	f.BoolVar(&o.Detach, "detach", false, "order it and leave")
	f.BoolVar(&o.Show, "show", false, "show what is fetched, and was")
	f.BoolVar(&o.Cancel, "cancel", false, "end the pull that is under way; what was fetched stays for a week")
	return cmd
}

func (o *imagePullOptions) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	d, err := o.Images()
	if err != nil {
		return err
	}
	switch {
	case o.Show:
		return o.show(ctx, d)
	case o.Cancel:
		return o.cancel(ctx, d)
	case o.From != "":
		return o.send(ctx, d)
	}
	v, err := d.Pull(ctx, api.ImagePull{
		OS: o.OS, Channel: o.Channel, Version: o.Version, Arch: o.Arch, Name: o.Name, Profile: o.Profile,
	})
	if err != nil {
		return err
	}
	f := pullFollower{io: o.IO, pulls: d, json: o.JSON, line: liveLine{io: o.IO}}
	return f.ordered(ctx, v, o.Detach)
}

// check finds words that do not go together.
func (o *imagePullOptions) check() error {
	alone := o.Show || o.Cancel
	switch {
	case o.Show && o.Cancel:
		return usageError("--show and --cancel do not go together")
	case alone && (o.OS != "" || o.From != "" || o.Detach || o.Version != "" || o.Channel != "" || o.Arch != ""):
		return usageError("--show and --cancel go without anything else")
	case alone:
		return nil
	case o.OS == "":
		return usageError("want a system: racker image pull flatcar")
	case o.From != "" && o.Detach:
		return usageError("--from sends files from here: --detach has no meaning")
	}
	return nil
}

func (o *imagePullOptions) show(ctx context.Context, d imagePuller) error {
	list, err := d.Pulls(ctx)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(append([]api.PullView{}, list...))
	}
	t := o.IO.Table("pull", "what", "state", "stage", "done", "of", "error").Spare(6, 5, 4, 3)
	for _, v := range list {
		t.Row(v.ID, v.What, v.State, v.Stage, size(o.IO, v.Done), size(o.IO, v.Total), pullTrouble(&v))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, v := range list {
		if why := pullTrouble(&v); why != "" && o.IO.OutTTY { // the table has no room for it
			o.IO.Errf("%s:\n  %s\n", v.ID, foldedErr(o.IO, why, 2))
		}
	}
	return nil
}

// pullTrouble says why a pull failed, or why it asks again.
func pullTrouble(v *api.PullView) string {
	if v.Error != nil {
		return v.Error.Message
	}
	return v.Trouble
}

func (o *imagePullOptions) cancel(ctx context.Context, d imagePuller) error {
	list, err := d.Pulls(ctx)
	if err != nil {
		return err
	}
	for _, v := range list {
		if v.State != api.PullRunning {
			continue
		}
		if v, err = d.CancelPull(ctx, v.ID); err != nil {
			return err
		}
		if o.JSON {
			return o.IO.JSON(v)
		}
		_, err = fmt.Fprintf(o.IO.Out, "cancelled %s\t%s\n", v.ID, stdio.Clean(v.What))
		return err
	}
	return errors.New("no pull is under way")
}
