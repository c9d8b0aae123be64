package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// imageLister lists images.
type imageLister interface {
	Images(ctx context.Context) ([]api.ImageView, error)
}

// findImage gives the ID of an image that the daemon holds by its name or ID; "" when it holds none.
func findImage(ctx context.Context, d imageLister, word string) (string, error) {
	images, err := d.Images(ctx)
	if err != nil {
		return "", err
	}
	for _, img := range images {
		if img.ID == word || img.Name == word {
			return img.ID, nil
		}
	}
	return "", nil
}

type imageListOptions struct {
	IO     *stdio.Streams
	Images func() (imageLister, error)
	Now    func() time.Time
	JSON   bool
}

func newImageListCmd(env *Env) *cobra.Command {
	o := &imageListOptions{IO: env.IO, Now: time.Now, Images: func() (imageLister, error) { return env.client() }}
	return &cobra.Command{
		Use:   "list",
		Short: "List the images",
		Long: `list prints a row per image: its name and ID, the size of the disk image, how much of it is used, how much is stored, when it
was added, its profile and architecture, its release, whether a signature was verified, and what needs it.

Exit codes: 0 ok; 1 no daemon answers; 2 usage.`,
		Example: "  racker image list\n  racker image list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
}

func (o *imageListOptions) run(ctx context.Context) error {
	c, err := o.Images()
	if err != nil {
		return err
	}
	images, err := c.Images(ctx)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(append([]api.ImageView{}, images...)) // [] when there is none, never null
	}
	if len(images) == 0 && o.IO.OutTTY {
		o.IO.Errf("There is no image yet: racker image pull flatcar, racker image add FILE, or racker bootstrap --image FILE.\n")
		return nil
	}
	t := o.IO.Table("name", "id", "size", "used", "stored", "added", "profile", "arch", "release", "signed", "used by").Spare(3, 10, 7, 2, 9, 8, 5)
	for _, i := range images {
		t.Row(i.Name, shortID(i.ID), size(o.IO, i.RawSize), size(o.IO, i.UsedSize), size(o.IO, i.StoredSize), moment(o.IO, o.Now(), i.Added),
			dash(i.Profile), dash(i.Arch), dash(strings.TrimSpace(i.Channel+" "+i.Version)), signedOn(i.Signed), dash(strings.Join(i.UsedBy, "; ")))
	}
	return t.Flush()
}

// signedOn gives the day of a verified signature.
func signedOn(s *api.ImageSigned) string {
	if s == nil {
		return dash("")
	}
	return s.At.Format(time.DateOnly)
}
