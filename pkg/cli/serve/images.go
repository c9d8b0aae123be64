package serve

import (
	"context"
	"io"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/release"
)

// images shows the library as the API does.
type images struct {
	library  *image.Library
	profiles *profiles
	pulls    *release.Pulls
	users    ImageUsers
}

// ImageUsers knows what needs an image.
type ImageUsers interface {
	// RemoveImage calls the function unless something needs the image; with unused, installed nodes count too.
	RemoveImage(ctx context.Context, m *image.Manifest, unused bool, remove func() error) error
	// ImageUsers names what needs each of the images, by their IDs.
	ImageUsers(ctx context.Context, list []*image.Manifest) (map[string][]string, error)
}

// List implements daemon.Images.
func (i images) List(ctx context.Context) ([]api.ImageView, error) {
	list, err := i.library.List(ctx)
	if err != nil {
		return nil, err
	}
	users, err := i.users.ImageUsers(ctx, list)
	if err != nil {
		return nil, err
	}
	out := []api.ImageView{}
	for _, m := range list {
		v := imageView(m)
		v.UsedBy = users[m.ID]
		if v.Profile == "" {
			if p, err := i.library.Profile(ctx, m); err == nil { // else the library says so when the image is used
				v.Profile = p.Name
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// Add implements daemon.Images.
func (i images) Add(ctx context.Context, add api.ImageAdd, r io.Reader, progress func(int64)) (api.ImageView, error) {
	i.profiles.reread(ctx)
	m, err := i.library.Add(ctx, r, image.AddOptions{Name: add.Name, SHA256: add.SHA256, Profile: add.Profile, Progress: progress})
	if err != nil {
		return api.ImageView{}, err
	}
	return imageView(m), nil
}

// AddSigned implements daemon.Images.
func (i images) AddSigned(ctx context.Context, add api.ImageAdd, p api.ImageParts, r io.Reader, progress func(string, int64)) (api.ImageView, error) {
	return i.pulls.Receive(ctx, release.Upload{
		Name: add.Name, Profile: add.Profile, Arch: p.Arch, Channel: p.Channel, Signature: p.Signature,
		Version: p.Version, VersionSignature: p.VersionSignature, Key: p.Key, Size: p.Size,
	}, r, progress)
}

// Verify implements daemon.Images.
func (i images) Verify(ctx context.Context, id string, progress func(int64)) (api.ImageView, error) {
	m, err := i.library.Verify(ctx, id, progress)
	if err != nil {
		return api.ImageView{}, err
	}
	return imageView(m), nil
}

// Change implements daemon.Images.
func (i images) Change(ctx context.Context, id string, c api.ImageChange) (api.ImageView, error) {
	i.profiles.reread(ctx)
	m, err := i.library.Change(ctx, id, image.Change{Profile: c.Profile})
	if err != nil {
		return api.ImageView{}, err
	}
	return imageView(m), nil
}

// Remove implements daemon.Images.
func (i images) Remove(ctx context.Context, id string, unused bool) error {
	m, err := i.library.Get(ctx, id)
	if err != nil {
		return err
	}
	return i.users.RemoveImage(ctx, m, unused, func() error { return i.library.Remove(ctx, m.ID) })
}

func imageView(m *image.Manifest) api.ImageView {
	v := api.ImageView{
		ID: m.ID, Name: m.Name, RawSize: m.RawSize, UsedSize: m.UsedSize(), StoredSize: m.StoredSize(), SHA256: m.RawSHA256, Added: m.Added,
		FileSHA256: m.FileSHA256, Profile: m.Profile, Arch: m.Arch, Version: m.Version, Channel: m.Channel, Source: m.Source,
		Warnings: m.Warnings,
	}
	if s := m.Signed; s != nil {
		v.Signed = &api.ImageSigned{At: s.At, Key: s.Key, Primary: s.Primary}
	}
	return v
}
