package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Profiles are the kinds of images that are known.
type Profiles interface {
	// Get gives one by its name. Errors match ErrProfile.
	Get(name string) (*Profile, error)
	// Guess gives the one that the partitions speak for; it is never nil.
	Guess(parts []Partition) *Profile
}

// Option changes how a Library works.
type Option func(*Library)

// WithProfiles gives the library the kinds of images. The function is called for each look at them, so that the set may
// change. A library without any takes images without a profile, and has no answer to Profile.
func WithProfiles(profiles func() Profiles) Option {
	return func(l *Library) { l.profiles = profiles }
}

// Profile gives the profile of a kept image: the one that its manifest names, or else, for an image of an older racker, the
// one that its partitions speak for. Errors match ErrProfile when there is none of that name.
func (l *Library) Profile(ctx context.Context, m *Manifest) (*Profile, error) {
	if l.profiles == nil {
		return nil, fmt.Errorf("image %s: %w: none are known", m.Name, ErrProfile)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := m.Profile
	if name == "" {
		raw, err := l.OpenRaw(m)
		if err != nil {
			return nil, err
		}
		k, err := look(raw, l.profiles())
		if err := errors.Join(err, raw.Close()); err != nil {
			return nil, fmt.Errorf("image %s: %w", m.Name, err)
		}
		name = k.profile
	}
	p, err := l.profiles().Get(name)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", m.Name, err)
	}
	return p, nil
}

// kind is what the content of an image tells of it.
type kind struct {
	profile string
	arch    string
}

// look reads partitions and boot programs of an image. A damaged table makes it a disk of which nothing is known.
func look(raw *Raw, profiles Profiles) (kind, error) {
	parts, err := ReadPartitions(raw, raw.Size())
	if err != nil && !errors.Is(err, ErrNoGPT) && !errors.Is(err, ErrGPT) {
		return kind{}, err
	}
	k := kind{arch: findArch(raw, parts)}
	if profiles != nil {
		k.profile = profiles.Guess(parts).Name
	}
	return k, nil
}

// recognise completes the manifest of a new image, whose data is in dir, with what it is, and holds it against what the
// caller says that it is.
func (l *Library) recognise(dir string, m *Manifest, o *AddOptions) error {
	data, err := os.Open(filepath.Join(dir, DataFile))
	if err != nil {
		return err
	}
	defer data.Close() // it was only read
	raw, err := newRaw(m, data)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }() // data is closed above
	var known Profiles
	if l.profiles != nil {
		known = l.profiles()
	}
	k, err := look(raw, known)
	if err != nil {
		return err
	}
	m.Profile, m.Arch = k.profile, k.arch
	if o.Profile != "" {
		m.Profile = o.Profile
	}
	if known != nil {
		p, err := known.Get(m.Profile)
		if err != nil {
			return err
		}
		m.MinDisk = max(m.MinDisk, p.MinDisk)
	}
	if o.Arch != "" && k.arch != "" && k.arch != o.Arch {
		return fmt.Errorf("%w: the image is for %s, expected %s", ErrArch, k.arch, o.Arch)
	}
	if m.Arch == "" {
		m.Arch = o.Arch
	}
	return nil
}
