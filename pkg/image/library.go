package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Names of the files in the directory of an image.
const (
	ManifestFile = "manifest.json"
	DataFile     = "data.zst"
)

const (
	idLength      = 16
	tempPrefix    = ".add-"
	maxManifest   = 512 << 20 // bytes; maxChunks chunks take less
	maxNameLength = 128
)

// Errors that a caller can match.
var (
	// ErrNotFound says that the library has no such image.
	ErrNotFound = errors.New("no such image")
	// ErrAmbiguous says that several images have the name; the error lists their IDs.
	ErrAmbiguous = errors.New("several images have this name")
	// ErrArch says that an image is for another architecture than it should be.
	ErrArch = errors.New("wrong architecture")
	// ErrDigest says that data does not have the SHA-256 that it should have.
	ErrDigest = errors.New("wrong SHA-256")
)

// Library is a directory of images, one directory per ID. Its methods may be called concurrently, also by several
// processes.
type Library struct {
	dir      string
	profiles func() Profiles // may be nil
	changes  sync.Mutex      // held by Change
}

// Open makes the directory when it is missing, removes what a killed Add left in it, and gives the library.
func Open(dir string, options ...Option) (*Library, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open image library: %w", err)
	}
	l := &Library{dir: dir}
	for _, o := range options {
		o(l)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open image library: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			if err := l.sweep(e.Name()); err != nil {
				return nil, fmt.Errorf("open image library: %w", err)
			}
		}
	}
	return l, nil
}

// sweep removes a temporary directory unless a running Add, which holds a lock on it, still fills it.
func (l *Library) sweep(name string) error {
	path := filepath.Join(l.dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	return os.RemoveAll(path)
}

// Dir is the directory of the image with that ID, whether it exists or not.
func (l *Library) Dir(id string) string { return filepath.Join(l.dir, id) }

// List gives all images, oldest first. A directory that cannot be read does not hide the others: it is in the error,
// and the rest is in the list.
func (l *Library) List(ctx context.Context) ([]*Manifest, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var list []*Manifest
	var bad []error
	for _, e := range entries {
		if !e.IsDir() || !isHex(e.Name(), idLength) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return list, err
		}
		m, err := l.read(e.Name())
		if err != nil {
			bad = append(bad, err)
			continue
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *Manifest) int {
		return cmp.Or(a.Added.Compare(b.Added), cmp.Compare(a.ID, b.ID))
	})
	return list, errors.Join(bad...)
}

// Get finds an image by its ID, or else by its name. Its errors match ErrNotFound or ErrAmbiguous.
func (l *Library) Get(ctx context.Context, idOrName string) (*Manifest, error) {
	if isHex(idOrName, idLength) {
		m, err := l.read(idOrName)
		if !errors.Is(err, ErrNotFound) {
			return m, err
		}
	}
	list, err := l.List(ctx)
	var found []*Manifest
	for _, m := range list {
		if m.Name == idOrName {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		ids := make([]string, len(found))
		for i, m := range found {
			ids[i] = m.ID
		}
		return nil, fmt.Errorf("image %q: %w: %s", idOrName, ErrAmbiguous, strings.Join(ids, ", "))
	case err != nil:
		return nil, fmt.Errorf("image %q: %w, but not every image could be read: %w", idOrName, ErrNotFound, err)
	}
	return nil, fmt.Errorf("image %q: %w", idOrName, ErrNotFound)
}

// read gives the checked manifest of one directory.
func (l *Library) read(id string) (*Manifest, error) {
	path := filepath.Join(l.Dir(id), ManifestFile)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("image %s: %w", id, ErrNotFound)
	case err == nil && st.Size() > maxManifest:
		return nil, fmt.Errorf("image %s: %w: %d bytes", id, ErrManifest, st.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", id, err)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", id, err)
	}
	if m.ID != id {
		return nil, fmt.Errorf("image %s: %w: it says ID %s", id, ErrManifest, m.ID)
	}
	return m, nil
}

// ParseManifest decodes manifest.json and validates it. Its errors match ErrManifest.
func ParseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return &m, nil
}

// Remove deletes an image by its ID, or name. Readers that have its data open keep it. Its errors match ErrNotFound or
// ErrAmbiguous.
func (l *Library) Remove(ctx context.Context, idOrName string) error {
	id := idOrName
	m, err := l.Get(ctx, idOrName)
	switch {
	case err == nil:
		id = m.ID
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrAmbiguous), !isHex(idOrName, idLength):
		return fmt.Errorf("remove: %w", err)
	}
	// Renamed first: a directory that is half deleted is never taken for an image.
	temp, err := os.MkdirTemp(l.dir, tempPrefix)
	if err != nil {
		return fmt.Errorf("remove image %s: %w", id, err)
	}
	err = os.Rename(l.Dir(id), filepath.Join(temp, id))
	if err := errors.Join(err, os.RemoveAll(temp), syncDir(l.dir)); err != nil {
		return fmt.Errorf("remove image %s: %w", id, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
