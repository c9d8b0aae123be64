package serve

import (
	"context"
	"io"
	"path/filepath"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/daemon"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/release"
	"github.com/racker-project/racker/pkg/version"
)

// newPulls makes what fetches images. Downloads are beside the library and not in it: that is served to the nodes.
func newPulls(o Options, library *image.Library, p *profiles) (*release.Pulls, error) {
	c := o.Settings.Image
	return release.NewPulls(release.Config{
		Dir:    filepath.Join(o.Settings.StateDir, "downloads"),
		Source: release.Source{Mirror: c.Mirror, KeyURL: c.KeyURL, KeyFile: c.KeyFile, Fingerprint: c.KeyFingerprint},
		Web:    release.Web{Proxy: c.Proxy, NoProxy: c.NoProxy, UserAgent: "racker/" + version.String()}, Explain: o.Explain,
	}, keeper{library: library, profiles: p}, o.Log)
}

// Images is the part of the daemon that keeps images, without the rest of it.
type Images struct {
	daemon.Images
	Pulls *release.Pulls
}

// OpenImages opens the library of a state directory with all that fetches into it. users say what needs an image.
func OpenImages(o Options, users ImageUsers) (*Images, error) {
	library, p, err := openLibrary(o)
	if err != nil {
		return nil, err
	}
	pulls, err := newPulls(o, library, p)
	if err != nil {
		return nil, err
	}
	return &Images{Images: images{library: library, profiles: p, pulls: pulls, users: users}, Pulls: pulls}, nil
}

// openLibrary opens the images of a state directory, with the site's profiles.
func openLibrary(o Options) (*image.Library, *profiles, error) {
	p, err := openProfiles(o.Settings.Image.Profiles, o.Log)
	if err != nil {
		return nil, nil, err
	}
	library, err := image.Open(filepath.Join(o.Settings.StateDir, "images"), image.WithProfiles(p.current))
	return library, p, err
}

// keeper puts verified files into the library.
type keeper struct {
	library  *image.Library
	profiles *profiles
}

// Held implements release.Keeper.
func (k keeper) Held(ctx context.Context, r release.Release, primary string) (*api.ImageView, error) {
	list, err := k.library.List(ctx)
	for _, m := range list {
		if m.Version == r.Version && m.Arch == r.Arch && m.Profile == release.OS && m.Signed != nil && m.Signed.Primary == primary {
			v := imageView(m)
			return &v, nil
		}
	}
	return nil, err
}

// Keep implements release.Keeper.
func (k keeper) Keep(ctx context.Context, r io.Reader, f release.File) (api.ImageView, error) {
	k.profiles.reread(ctx)
	o := image.AddOptions{
		Name: f.Name, SHA256: f.SHA256, Source: f.Source, Profile: f.Profile, Arch: f.Arch, Version: f.Version, Channel: f.Channel, Progress: f.Progress,
	}
	if s := f.Signed; s != nil {
		o.Signed = &image.Signed{At: s.At, Key: s.Key, Primary: s.Primary}
	}
	m, err := k.library.Add(ctx, r, o)
	if err == nil && m.Signed == nil && o.Signed != nil { // it was added before, from elsewhere
		m, err = k.library.Change(ctx, m.ID, image.Change{
			Profile: f.Profile, Version: f.Version, Channel: f.Channel, Source: f.Source, Signed: o.Signed,
		})
	}
	if err != nil {
		return api.ImageView{}, err
	}
	return imageView(m), nil
}
