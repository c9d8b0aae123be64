package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// imageCollector removes images that nothing needs.
type imageCollector interface {
	imageLister
	RemoveUnusedImage(ctx context.Context, id string) error
}

type imageGCOptions struct {
	IO     *stdio.Streams
	Images func() (imageCollector, error)
	Keep   int
	DryRun bool
	Yes    bool
	JSON   bool
}

// imageGCView is what gc did, as --json has it.
type imageGCView struct {
	Removed []api.ImageView `json:"removed"` // with --dry-run: would be removed
	Freed   int64           `json:"freed"`   // bytes
}

func newImageGCCmd(env *Env) *cobra.Command {
	o := &imageGCOptions{IO: env.IO, Images: func() (imageCollector, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove the images that nothing needs",
		Long: `gc removes images that no node has installed and no run, order or declared config names. The newest of each channel stay. It
shows them, and asks.

Exit codes: 0 ok; 1 failed, or no daemon answers; 2 usage; 4 not confirmed.`,
		Example: "  racker image gc --dry-run\n  racker image gc --keep 2 --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Keep, "keep", 1, "how many of the newest images of each channel and architecture stay")
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would be removed, and remove nothing")
	f.BoolVar(&o.Yes, "yes", false, "do not ask")
	return cmd
}

func (o *imageGCOptions) run(ctx context.Context) error {
	if o.Keep < 0 {
		return usageError("--keep %d: want 0 or more", o.Keep)
	}
	d, err := o.Images()
	if err != nil {
		return err
	}
	images, err := d.Images(ctx)
	if err != nil {
		return err
	}
	v := imageGCView{Removed: unneededImages(images, o.Keep)}
	for _, img := range v.Removed {
		v.Freed += img.StoredSize
	}
	if len(v.Removed) == 0 {
		o.IO.Errf("Every image is needed, or among the newest of its channel.\n")
	} else if !o.DryRun {
		if err := o.confirm(ctx, v); err != nil {
			return err
		}
		if v, err = o.remove(ctx, d, v); err != nil {
			return errors.Join(err, o.answer(v))
		}
	}
	return o.answer(v)
}

// unneededImages gives the images that nothing uses, without the newest of each channel.
func unneededImages(images []api.ImageView, keep int) []api.ImageView {
	images = slices.Clone(images)
	slices.SortStableFunc(images, func(a, b api.ImageView) int { return b.Added.Compare(a.Added) })
	seen := map[string]int{}
	out := []api.ImageView{}
	for _, img := range images {
		if img.Channel != "" {
			of := img.Profile + " " + img.Channel + " " + img.Arch
			if seen[of]++; seen[of] <= keep {
				continue
			}
		}
		if len(img.UsedBy) == 0 {
			out = append(out, img)
		}
	}
	slices.SortStableFunc(out, func(a, b api.ImageView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (o *imageGCOptions) confirm(ctx context.Context, v imageGCView) error {
	if o.Yes {
		return nil
	}
	if !o.IO.CanPrompt() {
		return withHint(withCode(codeNotConfirmed, fmt.Errorf("%d images would be removed, and there is no terminal to ask on", len(v.Removed))),
			"look with --dry-run, then add --yes")
	}
	for _, img := range v.Removed {
		o.IO.Errf("  %s  %s  %s\n", stdio.Clean(img.Name), shortID(img.ID), bytesText(img.StoredSize))
	}
	o.IO.Errf("Remove these %d images, %s? Type yes: ", len(v.Removed), bytesText(v.Freed))
	answer, err := readLine(ctx, o.IO.In)
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return withCode(codeNotConfirmed, errors.New("not confirmed; no image was removed"))
	}
	return nil
}

// remove removes one after the other. What has come into use meanwhile stays, and is said.
func (o *imageGCOptions) remove(ctx context.Context, d imageCollector, v imageGCView) (imageGCView, error) {
	done := imageGCView{Removed: []api.ImageView{}}
	var errs []error
	for _, img := range v.Removed {
		if err := d.RemoveUnusedImage(ctx, img.ID); err != nil {
			errs = append(errs, err)
			continue
		}
		done.Removed = append(done.Removed, img)
		done.Freed += img.StoredSize
	}
	return done, errors.Join(errs...)
}

func (o *imageGCOptions) answer(v imageGCView) error {
	if o.JSON {
		return o.IO.JSON(v)
	}
	for _, img := range v.Removed {
		if _, err := fmt.Fprintf(o.IO.Out, "%s\t%s\t%s\n", stdio.Clean(img.Name), img.ID, size(o.IO, img.StoredSize)); err != nil {
			return err
		}
	}
	return nil
}
