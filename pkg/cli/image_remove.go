package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/stdio"
)

// imageRemover removes one image.
type imageRemover interface {
	RemoveImage(ctx context.Context, id string) error
}

type imageRemoveOptions struct {
	IO     *stdio.Streams
	Images func() (imageRemover, error)
	Word   string
	JSON   bool
}

func newImageRemoveCmd(env *Env) *cobra.Command {
	o := &imageRemoveOptions{IO: env.IO, Images: func() (imageRemover, error) { return env.client() }}
	return &cobra.Command{
		Use:   "remove IMAGE",
		Short: "Remove an image",
		Long: `remove deletes an image from the daemon's library. IMAGE is its name or ID. One that a run, an order or a declared config
needs stays, and what needs it is named. Installed servers are not touched.

Exit codes: 0 ok; 1 failed, or no daemon answers; 2 usage, or no such image.`,
		Example: "  racker image remove flatcar-4593.2.5",
		Args:    oneWord("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.Word = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
}

func (o *imageRemoveOptions) run(ctx context.Context) error {
	c, err := o.Images()
	if err != nil {
		return err
	}
	if err := c.RemoveImage(ctx, o.Word); err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(map[string]string{"removed": o.Word})
	}
	_, err = fmt.Fprintln(o.IO.Out, "removed "+o.Word)
	return err
}
