package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/racker-project/racker/pkg/api"
)

// carry carries one order out.
func (p *Pulls) carry(ctx context.Context, n *pull) (api.ImageView, error) {
	f := File{Name: n.order.name(), Profile: n.order.Profile, Arch: n.order.Arch, Progress: p.moves(n)}
	if n.order.OS == "" {
		return p.elsewhere(ctx, n, f)
	}
	key, err := p.vendor.key(ctx)
	if err != nil {
		return api.ImageView{}, err
	}
	r, err := p.resolve(ctx, key, n.order.release)
	if err != nil {
		return api.ImageView{}, err
	}
	p.set(n, func(v *api.PullView) { v.What = r.String() })
	held, err := p.keeper.Held(ctx, r, key.Fingerprint)
	if err != nil {
		return api.ImageView{}, err
	}
	if held != nil {
		p.set(n, func(v *api.PullView) { v.Held = true })
		return *held, nil
	}
	f.Source, f.Name = r.dir(p.cfg.Source.Mirror)+ImageFile, n.order.Name
	f.of(r)
	signature, err := p.cfg.Web.small(ctx, f.Source+SignatureEnd, maxSignature)
	if err != nil {
		return api.ImageView{}, err
	}
	return p.obtain(ctx, n, f, func(ctx context.Context, r io.Reader) (*Signature, error) {
		s, err := key.Verify(ctx, r, signature, p.cfg.Now())
		return &s, err
	})
}

// of fills in what a release says of its file.
func (f *File) of(r Release) {
	f.Version, f.Channel, f.Arch = r.Version, r.Channel, r.Arch
	if f.Name == "" {
		f.Name = r.Name()
	}
	if f.Profile == "" {
		f.Profile = OS
	}
}

// signedVersion takes what version.txt says, once its signature is verified.
func (p *Pulls) signedVersion(ctx context.Context, key *Key, r Release, source string, text, signature []byte) (Release, error) {
	if len(text) > maxVersionFile || len(signature) == 0 {
		return r, fmt.Errorf("%s: %w: there is none", source, ErrSignature)
	}
	if _, err := key.Verify(ctx, bytes.NewReader(text), signature, p.cfg.Now()); err != nil {
		return r, fmt.Errorf("%s: %w", source, err)
	}
	return r.fill(text)
}

// resolve asks the server which version a release is; its answer is signed too.
func (p *Pulls) resolve(ctx context.Context, key *Key, r Release) (Release, error) {
	at := r.dir(p.cfg.Source.Mirror) + VersionFile
	text, err := p.cfg.Web.small(ctx, at, maxVersionFile)
	if err != nil {
		return r, err
	}
	signature, err := p.cfg.Web.small(ctx, at+SignatureEnd, maxSignature)
	if err != nil {
		return r, err
	}
	return p.signedVersion(ctx, key, r, at, text, signature)
}

// elsewhere fetches a file that is no release.
func (p *Pulls) elsewhere(ctx context.Context, n *pull, f File) (api.ImageView, error) {
	f.Source = n.order.URL
	signature := n.order.signature
	if n.order.SignatureURL != "" {
		var err error
		if signature, err = p.cfg.Web.small(ctx, n.order.SignatureURL, maxSignature); err != nil {
			return api.ImageView{}, err
		}
	}
	var key *Key
	if signature != nil {
		var err error
		if key, err = p.vendor.key(ctx); err != nil {
			return api.ImageView{}, err
		}
	}
	return p.obtain(ctx, n, f, func(ctx context.Context, r io.Reader) (*Signature, error) {
		sum := sha256.New()
		r = io.TeeReader(&watched{ctx: ctx, r: r}, sum)
		var signed *Signature
		if key != nil {
			s, err := key.Verify(ctx, r, signature, p.cfg.Now())
			if err != nil {
				return nil, err
			}
			signed = &s
		} else if _, err := io.Copy(io.Discard, r); err != nil {
			return nil, err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); n.order.SHA256 != "" && got != n.order.SHA256 {
			return nil, fmt.Errorf("%w: its SHA-256 is %s, expected %s", ErrSignature, got, n.order.SHA256)
		}
		return signed, nil
	})
}

// obtain fetches the file of f.Source, verifies it, and keeps it. Nothing else looks at a byte of it before that. What turns out
// wrong is removed; when it was pieced together from what an earlier pull left, it is fetched once more as a whole.
func (p *Pulls) obtain(ctx context.Context, n *pull, f File, verify func(context.Context, io.Reader) (*Signature, error)) (api.ImageView, error) {
	for {
		from := p.part(n, f.Source)
		p.stage(n, api.PullFetches, 0)
		file, err := from.fetch(ctx, f.Source)
		if err != nil {
			return api.ImageView{}, err
		}
		img, err := p.keepVerified(ctx, n, file, f, verify)
		cerr := file.Close() // it was only read
		if err != nil && ctx.Err() != nil {
			return img, errors.Join(err, cerr) // it may be good: the next pull goes on with it
		}
		rerr := from.remove()
		if errors.Is(err, ErrSignature) && from.resumed && rerr == nil {
			p.log.WarnContext(ctx, "a download in pieces is not what it should be, and begins anew", "file", f.Source, "err", err)
			continue
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", f.Source, err)
		}
		return img, errors.Join(err, rerr)
	}
}

func (p *Pulls) part(n *pull, address string) *part {
	sum := sha256.Sum256([]byte(address))
	return &part{
		web: &p.cfg.Web, path: filepath.Join(p.cfg.Dir, hex.EncodeToString(sum[:8])+partEnd), room: p.cfg.Room,
		progress: func(done, total int64, trouble error) {
			p.set(n, func(v *api.PullView) {
				v.Done, v.Total, v.Trouble = done, max(total, 0), ""
				if trouble != nil {
					v.Trouble = trouble.Error()
				}
			})
		},
	}
}

// keepVerified verifies an open file, and keeps it only then. Between the two nothing else can get in its place: it stays open,
// and the keeper checks the digest of what it reads.
func (p *Pulls) keepVerified(ctx context.Context, n *pull, file *os.File, f File, verify func(context.Context, io.Reader) (*Signature, error)) (api.ImageView, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return api.ImageView{}, err
	}
	p.stage(n, api.PullVerifies, size)
	sum := sha256.New()
	f.Signed, err = verify(ctx, &counted{r: io.TeeReader(file, sum), tell: p.moves(n)})
	if err != nil {
		return api.ImageView{}, err
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return api.ImageView{}, err
	}
	p.stage(n, api.PullKeeps, size)
	img, err := p.keeper.Keep(ctx, file, f)
	return img, full(err)
}

// counted tells how much was read.
type counted struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	c.tell(c.n)
	return n, err
}
