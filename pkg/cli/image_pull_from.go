package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/release"
	"github.com/racker-project/racker/pkg/stdio"
)

// maxBeside bounds what is read of a file that comes with an image, in bytes.
const maxBeside = 1 << 20

// send sends the files of a directory.
func (o *imagePullOptions) send(ctx context.Context, d imagePuller) error {
	parts, file, err := o.collect()
	if err != nil {
		return err
	}
	defer file.Close()
	s := signedSender{io: o.IO, images: d, line: liveLine{io: o.IO}}
	img, err := s.send(ctx, o.From, api.ImageAdd{Name: o.Name, Profile: o.Profile}, parts, file)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.IO.JSON(img)
	}
	_, err = fmt.Fprintf(o.IO.Out, "%s\t%s\n", stdio.Clean(img.Name), img.ID)
	return err
}

// collect reads what a release consists of. All that is missing is in the error.
func (o *imagePullOptions) collect() (api.ImageParts, *os.File, error) {
	if o.OS != release.OS {
		return api.ImageParts{}, nil, usageError("there are releases of %s only, not of %q", release.OS, o.OS)
	}
	p := api.ImageParts{Channel: o.Channel, Arch: o.Arch}
	var errs []error
	for name, to := range map[string]*[]byte{
		release.VersionFile: &p.Version, release.VersionFile + release.SignatureEnd: &p.VersionSignature,
		release.ImageFile + release.SignatureEnd: &p.Signature,
	} {
		b, err := readBeside(filepath.Join(o.From, name))
		*to = b
		errs = append(errs, err)
	}
	keys, err := filepath.Glob(filepath.Join(o.From, "*.asc"))
	errs = append(errs, err)
	for _, name := range keys {
		b, err := readBeside(name)
		p.Key = append(p.Key, b...)
		errs = append(errs, err)
	}
	if len(keys) > 1 {
		errs = append(errs, usageError("%s: more than one file ends in .asc: %s", o.From, strings.Join(keys, ", ")))
	}
	f, size, err := openImage(filepath.Join(o.From, release.ImageFile))
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return p, nil, err
	}
	p.Size = size
	if o.Version != "" && !strings.Contains(string(p.Version), "="+o.Version+"\n") {
		return p, nil, errors.Join(fmt.Errorf("%s: it is not of version %s", filepath.Join(o.From, release.VersionFile), o.Version), f.Close())
	}
	return p, f, nil
}

// readBeside reads a small file.
func readBeside(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBeside+1))
	if err == nil && len(b) > maxBeside {
		err = fmt.Errorf("it has more than %d bytes", maxBeside)
	}
	if err != nil {
		return nil, fmt.Errorf("image: read %s: %w", name, err)
	}
	return b, nil
}

// signedSender sends a file with its signature, with progress on stderr.
type signedSender struct {
	io     *stdio.Streams
	images imagePuller
	line   liveLine
}

func (s *signedSender) send(ctx context.Context, what string, add api.ImageAdd, parts api.ImageParts, file io.Reader) (api.ImageView, error) {
	defer s.line.clear()
	f := pullFollower{io: s.io, line: s.line}
	img, err := s.images.AddSignedImage(ctx, add, parts, file, func(stage string, done int64) {
		if stage == api.PullFetches {
			stage = stageSends
		}
		f.show(&api.PullView{What: what, Stage: stage, Done: done, Total: parts.Size})
	})
	f.line.clear()
	if err != nil {
		return img, fmt.Errorf("image %s: %w", what, err)
	}
	s.line.end(fmt.Sprintf("Added %s: %s, %s used, %s stored%s", img.Name, bytesText(img.RawSize), bytesText(img.UsedSize),
		bytesText(img.StoredSize), signedText(&img)))
	return img, nil
}
