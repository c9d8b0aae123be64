package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// imageVerifier compares images with their digests.
type imageVerifier interface {
	imageLister
	VerifyImage(ctx context.Context, id string, progress func(read int64)) (api.ImageView, error)
}

type imageVerifyOptions struct {
	IO     *stdio.Streams
	Images func() (imageVerifier, error)
	Words  []string
	JSON   bool
}

// imageVerdict is what became of one image, as --json has it.
type imageVerdict struct {
	ID    string `json:"id,omitempty"`
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func newImageVerifyCmd(env *Env) *cobra.Command {
	o := &imageVerifyOptions{IO: env.IO, Images: func() (imageVerifier, error) { return env.client() }}
	return &cobra.Command{
		Use:   "verify [IMAGE...]",
		Short: "Read images and compare every chunk with its digest",
		Long: `verify lets the daemon read all of an image, of each one when none is named, and compare every chunk, and the whole disk image,
with the digests of its manifest. IMAGE is a name or an ID.

Exit codes: 0 ok; 1 one is damaged, or no daemon answers; 2 usage, or no such image.`,
		Example: "  racker image verify\n  racker image verify flatcar-4593.2.5 --json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.JSON, o.Words = env.JSON, args
			return o.run(cmd.Context())
		},
	}
}

func (o *imageVerifyOptions) run(ctx context.Context) error {
	d, err := o.Images()
	if err != nil {
		return err
	}
	held, err := d.Images(ctx)
	if err != nil {
		return err
	}
	if len(o.Words) == 0 {
		for _, img := range held {
			o.Words = append(o.Words, img.ID)
		}
	}
	verdicts := []imageVerdict{}
	var errs []error
	for _, word := range o.Words {
		img, err := o.verify(ctx, d, word, held)
		v := imageVerdict{ID: img.ID, Name: img.Name, OK: err == nil}
		if v.Name == "" {
			v.Name = word
		}
		if err != nil {
			v.Error = err.Error()
			errs = append(errs, err)
		}
		verdicts = append(verdicts, v)
	}
	return errors.Join(o.answer(verdicts), errors.Join(errs...))
}

// verify verifies one image; what is known of it comes back even when it is damaged.
func (o *imageVerifyOptions) verify(ctx context.Context, d imageVerifier, word string, held []api.ImageView) (api.ImageView, error) {
	line := liveLine{io: o.IO}
	defer line.clear()
	var known api.ImageView
	for _, img := range held {
		if img.ID == word || img.Name == word {
			known = img
		}
	}
	what := known.Name
	if what == "" {
		what = word
	}
	f := pullFollower{io: o.IO, line: line, stage: api.PullVerifies, shown: time.Now()}
	img, err := d.VerifyImage(ctx, word, func(read int64) {
		f.show(&api.PullView{What: what, Stage: api.PullVerifies, Done: read, Total: known.StoredSize})
	})
	f.line.clear()
	if err != nil {
		return known, err
	}
	return img, nil
}

func (o *imageVerifyOptions) answer(verdicts []imageVerdict) error {
	if o.JSON {
		return o.IO.JSON(verdicts)
	}
	t := o.IO.Table("name", "id", "state")
	for _, v := range verdicts {
		state := "ok"
		if !v.OK {
			state = "damaged"
			if v.ID == "" {
				state = "unknown"
			}
		}
		t.Row(v.Name, shortID(v.ID), state)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}
