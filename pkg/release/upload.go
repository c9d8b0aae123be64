package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/racker-project/racker/pkg/api"
)

// uploadPrefix begins the names of files that are on their way from a client.
const uploadPrefix = "upload-"

// Upload is a file that a client sends instead of having it fetched.
type Upload struct {
	// Name and Profile are as in api.ImagePull; so is Arch.
	Name, Profile, Arch string
	// Channel is that of a release; empty lets the version tell.
	Channel string
	// Signature is that of the file; it must be there.
	Signature []byte
	// Version is version.txt, and VersionSignature its signature; both are empty for a file that is no release.
	Version, VersionSignature []byte
	// Key is a file with the signing key; empty means the one that a pull would use.
	Key []byte
	// Size is the size of the file in bytes; 0 when it is not known.
	Size int64
}

// Receive takes a file, with the same checks as a pull: nothing looks at it before its signature is verified. progress tells
// the stage and its bytes. It ends with ctx, and what came until then is gone. Errors match ErrBusy, ErrKey, ErrSignature,
// ErrRelease or ErrSpace.
func (p *Pulls) Receive(ctx context.Context, u Upload, body io.Reader, progress func(stage string, done int64)) (api.ImageView, error) {
	if len(u.Signature) == 0 {
		return api.ImageView{}, fmt.Errorf("%w: there is none", ErrSignature)
	}
	key, err := p.uploadKey(ctx, u.Key)
	if err != nil {
		return api.ImageView{}, err
	}
	f := File{Name: u.Name, Profile: u.Profile, Arch: u.Arch, Source: "a file"}
	what := "a file"
	if len(u.Version) > 0 {
		r, err := p.described(ctx, key, u)
		if err != nil {
			return api.ImageView{}, err
		}
		held, err := p.keeper.Held(ctx, r, key.Fingerprint)
		if err != nil {
			return api.ImageView{}, err
		}
		if held != nil {
			return *held, nil
		}
		what = r.String()
		f.of(r)
	}
	n, ctx, err := p.occupy(ctx, what, progress)
	if err != nil {
		return api.ImageView{}, err
	}
	f.Progress = p.moves(n)
	img, err := p.receive(ctx, n, u, f, key, body)
	n.cancel()
	p.end(n, img, err)
	return img, err
}

// uploadKey is the key that came along, or the one of a pull.
func (p *Pulls) uploadKey(ctx context.Context, data []byte) (*Key, error) {
	if len(data) == 0 {
		return p.vendor.key(ctx)
	}
	return ParseKey(data, p.cfg.Source.Fingerprint, "the key that came along")
}

// described is the release that the upload's version.txt speaks of.
func (p *Pulls) described(ctx context.Context, key *Key, u Upload) (Release, error) {
	r := Release{Channel: u.Channel, Arch: u.Arch}
	if r.Arch == "" {
		r.Arch = Archs()[0]
	}
	r, err := p.signedVersion(ctx, key, r, VersionFile, u.Version, u.VersionSignature)
	if err != nil {
		return r, err
	}
	if r.Channel == "" {
		r.Channel = channelOf(r.Version)
	}
	return r, r.Validate()
}

// occupy takes the place of the pull that is under way.
func (p *Pulls) occupy(ctx context.Context, what string, progress func(string, int64)) (*pull, context.Context, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy != nil {
		return nil, nil, busyWith(p.busy)
	}
	n := &pull{tell: progress, view: api.PullView{
		ID: newID(), What: what, State: api.PullRunning, Stage: api.PullFetches, Began: p.cfg.Now().UTC(),
	}}
	ctx, n.cancel = context.WithCancel(ctx)
	p.remember(n)
	p.busy = n
	return n, ctx, nil
}

// receive takes the file into a place of its own, and then verifies and keeps it.
func (p *Pulls) receive(ctx context.Context, n *pull, u Upload, f File, key *Key, body io.Reader) (api.ImageView, error) {
	file, err := os.CreateTemp(p.cfg.Dir, uploadPrefix)
	if err != nil {
		return api.ImageView{}, fmt.Errorf("receive %s: %w", n.view.What, full(err))
	}
	img, err := func() (api.ImageView, error) {
		p.stage(n, api.PullFetches, u.Size)
		if err := p.fill(ctx, n, file, u.Size, body); err != nil {
			return api.ImageView{}, err
		}
		return p.keepVerified(ctx, n, file, f, func(ctx context.Context, r io.Reader) (*Signature, error) {
			s, err := key.Verify(ctx, r, u.Signature, p.cfg.Now())
			return &s, err
		})
	}()
	if err := errors.Join(err, file.Close(), os.Remove(file.Name())); err != nil {
		return api.ImageView{}, fmt.Errorf("receive %s: %w", n.view.What, err)
	}
	return img, nil
}

// fill writes what comes to the file, as long as the disk has room for it and for the image beside it.
func (p *Pulls) fill(ctx context.Context, n *pull, file *os.File, size int64, body io.Reader) error {
	have, err := p.cfg.Room(p.cfg.Dir)
	if err != nil {
		return err
	}
	if need := 2*size + reserve; have < need {
		return noRoom(have, need)
	}
	_, err = io.Copy(file, &counted{r: &watched{ctx: ctx, r: body}, tell: p.moves(n)})
	return full(err)
}
