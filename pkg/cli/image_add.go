package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/stdio"
)

type imageAddOptions struct {
	IO      *stdio.Streams
	Images  func() (imageKeeper, error)
	File    string
	Name    string
	SHA256  string
	Profile string
	JSON    bool
}

func newImageAddCmd(env *Env) *cobra.Command {
	o := &imageAddOptions{IO: env.IO, Images: func() (imageKeeper, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Add an OS image: a raw disk image, plain or compressed",
		Long: `add hands a disk image to the daemon, which keeps its used ranges in compressed, checked chunks. FILE is raw, or compressed
by gzip, bzip2, xz or zstd. An image that is there already is recognised by its digest and not sent again.

Exit codes: 0 ok; 1 failed, or no daemon answers; 2 usage.`,
		Example: "  racker image add flatcar_production_image.bin.bz2 --name flatcar\n  racker image add disk.img --sha256 $(cut -d' ' -f1 disk.img.sha256)",
		Args:    oneWord("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.File = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "name of the image (default: that of the file)")
	f.StringVar(&o.Profile, "profile", "", "kind of the image: flatcar, testos, plain or one of your own (default: as its partitions tell)")
	f.StringVar(&o.SHA256, "sha256", "", "digest that the file must have, in hexadecimal")
	return cmd
}

func (o *imageAddOptions) run(ctx context.Context) error {
	want := strings.ToLower(o.SHA256)
	if b, err := hex.DecodeString(want); err != nil || (want != "" && len(b) != sha256Size) {
		return usageError("--sha256 %q: want 64 hexadecimal digits", o.SHA256)
	}
	c, err := o.Images()
	if err != nil {
		return err
	}
	s := imageSender{io: o.IO, images: c, profile: o.Profile, line: liveLine{io: o.IO}}
	img, err := s.send(ctx, o.File, o.Name, want)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(img)
	}
	_, err = fmt.Fprintf(o.IO.Out, "%s\t%s\n", stdio.Clean(img.Name), img.ID)
	return err
}
