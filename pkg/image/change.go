package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Change is what may be said anew about a kept image; what is empty stays as it is.
type Change struct {
	Profile          string
	Version, Channel string
	Source           string
	Signed           *Signed
}

// Change rewrites the manifest of an image, by ID or name, as a whole or not at all. Its errors match ErrNotFound, ErrAmbiguous
// or ErrProfile.
func (l *Library) Change(ctx context.Context, idOrName string, c Change) (*Manifest, error) {
	l.changes.Lock()
	defer l.changes.Unlock()
	m, err := l.Get(ctx, idOrName)
	if err != nil {
		return nil, fmt.Errorf("change: %w", err)
	}
	if c.Profile != "" && c.Profile != m.Profile {
		if err := l.setProfile(m, c.Profile); err != nil {
			return nil, fmt.Errorf("change image %s: %w", m.Name, err)
		}
	}
	for to, text := range map[*string]string{&m.Version: c.Version, &m.Channel: c.Channel, &m.Source: c.Source} {
		if text != "" {
			*to = text
		}
	}
	if c.Signed != nil {
		m.Signed = c.Signed
	}
	if err := replaceManifest(l.Dir(m.ID), m); err != nil {
		return nil, fmt.Errorf("change image %s: %w", m.Name, err)
	}
	return m, nil
}

// setProfile gives a manifest another profile, and with it the disk that the system needs.
func (l *Library) setProfile(m *Manifest, name string) error {
	if l.profiles == nil {
		return fmt.Errorf("%w %q: none are known", ErrProfile, name)
	}
	p, err := l.profiles().Get(name)
	if err != nil {
		return err
	}
	m.Profile, m.MinDisk = name, max(m.RawSize, p.MinDisk)
	return nil
}

func replaceManifest(dir string, m *Manifest) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".manifest-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, ManifestFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}
