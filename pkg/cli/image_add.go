package cli

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

type imageAddOptions struct {
	IO        *stdio.Streams
	Images    func() (imagePuller, error)
	File      string
	Name      string
	SHA256    string
	Signature string
	Key       string
	Profile   string
	JSON      bool
}

func newImageAddCmd(env *Env) *cobra.Command {
	o := &imageAddOptions{IO: env.IO, Images: func() (imagePuller, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "add FILE|URL",
		Short: "Add an OS image: a raw disk image, plain or compressed",
		Long: `add hands a disk image to the daemon, which keeps its used ranges in compressed, checked chunks. FILE is raw, or compressed
by gzip, bzip2, xz or zstd. An image that is there already is recognised by its digest and not sent again. A URL is fetched by the
daemon, and needs --sha256 or --signature.

--signature is a detached OpenPGP signature by the pinned key (image.key_fingerprint in racker.yaml): nothing of the file is used
before it is verified. --profile says what kind of image it is, and so where its Ignition config goes; without it the partitions of
the image tell.

Exit codes: 0 ok; 1 failed, or no daemon answers; 2 usage.`,
		Example: `  racker image add flatcar_production_image.bin.bz2 --name flatcar
  racker image add disk.img --sha256 $(cut -d' ' -f1 disk.img.sha256)
  racker image add disk.img --profile plain
  racker image add https://10.0.0.7/os.zst --signature https://10.0.0.7/os.sig`,
		Args: oneWord("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.File = env.JSON, args[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "name of the image (default: that of the file)")
	f.StringVar(&o.SHA256, "sha256", "", "digest that the file must have, in hexadecimal")
	f.StringVar(&o.Signature, "signature", "", "file or URL of its detached OpenPGP signature")
	f.StringVar(&o.Key, "key", "", "file with the signing key, for a FILE (default: the one of racker image pull)")
	f.StringVar(&o.Profile, "profile", "", "kind of the image: flatcar, testos, plain or one of your own (default: as its partitions tell)")
	return cmd
}

// check finds words that do not go together.
func (o *imageAddOptions) check() error {
	o.SHA256 = strings.ToLower(o.SHA256)
	if b, err := hex.DecodeString(o.SHA256); err != nil || (o.SHA256 != "" && len(b) != sha256Size) {
		return usageError("--sha256 %q: want 64 hexadecimal digits", o.SHA256)
	}
	switch {
	case isURL(o.File) && o.SHA256 == "" && o.Signature == "":
		return usageError("what comes from a URL needs --sha256 or --signature")
	case isURL(o.File) && o.Key != "":
		return usageError("--key is for a FILE; the daemon's own is image.key_file in racker.yaml")
	case !isURL(o.File) && isURL(o.Signature):
		return usageError("--signature %s: the signature of a FILE is a file too", o.Signature)
	case !isURL(o.File) && o.Signature == "" && o.Key != "":
		return usageError("--key has no meaning without --signature")
	}
	return nil
}

func (o *imageAddOptions) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	c, err := o.Images()
	if err != nil {
		return err
	}
	if isURL(o.File) {
		return o.pull(ctx, c)
	}
	img, err := o.send(ctx, c)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(img)
	}
	_, err = fmt.Fprintf(o.IO.Out, "%s\t%s\n", stdio.Clean(img.Name), img.ID)
	return err
}

func isURL(word string) bool {
	return strings.HasPrefix(word, "https://") || strings.HasPrefix(word, "http://")
}

// pull lets the daemon fetch what is at a URL.
func (o *imageAddOptions) pull(ctx context.Context, c imagePuller) error {
	order := api.ImagePull{URL: o.File, SHA256: o.SHA256, Name: o.Name, Profile: o.Profile}
	if isURL(o.Signature) {
		order.SignatureURL = o.Signature
	} else if o.Signature != "" {
		b, err := readBeside(o.Signature)
		if err != nil {
			return err
		}
		order.Signature = base64.StdEncoding.EncodeToString(b)
	}
	v, err := c.Pull(ctx, order)
	if err != nil {
		return err
	}
	f := pullFollower{io: o.IO, pulls: c, json: o.JSON, line: liveLine{io: o.IO}}
	return f.ordered(ctx, v, false)
}

// send sends a file, with its signature when there is one.
func (o *imageAddOptions) send(ctx context.Context, c imagePuller) (api.ImageView, error) {
	if o.Signature != "" {
		return o.sendSigned(ctx, c)
	}
	s := imageSender{io: o.IO, images: c, profile: o.Profile, line: liveLine{io: o.IO}}
	img, err := s.send(ctx, o.File, o.Name, o.SHA256)
	if err == nil && o.Profile != "" && img.Profile != o.Profile { // it was held already, as another kind
		img, err = c.ChangeImage(ctx, img.ID, api.ImageChange{Profile: o.Profile})
	}
	return img, err
}

func (o *imageAddOptions) sendSigned(ctx context.Context, c imagePuller) (api.ImageView, error) {
	parts := api.ImageParts{}
	var err, keyErr error
	parts.Signature, err = readBeside(o.Signature)
	if o.Key != "" {
		parts.Key, keyErr = readBeside(o.Key)
	}
	var f *os.File
	f, size, fileErr := openImage(o.File)
	if err := errors.Join(err, keyErr, fileErr); err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return api.ImageView{}, err
	}
	defer f.Close()
	parts.Size = size
	if o.SHA256 != "" {
		s := imageSender{io: o.IO, images: c, line: liveLine{io: o.IO}}
		if err := s.hold(ctx, f, o.SHA256, size); err != nil {
			return api.ImageView{}, err
		}
	}
	name := o.Name
	if name == "" {
		name = imageName(o.File)
	}
	s := signedSender{io: o.IO, images: c, line: liveLine{io: o.IO}}
	return s.send(ctx, o.File, api.ImageAdd{Name: name, Profile: o.Profile}, parts, f)
}
