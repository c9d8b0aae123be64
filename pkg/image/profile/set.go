package profile

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/image"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Names of the profiles that ship with racker.
const (
	Flatcar = "flatcar"
	TestOS  = "testos"
	// Plain is what an image has that nothing else is known of.
	Plain = "plain"
)

// maxFile bounds what is read of one file, in bytes.
const maxFile = 64 << 10

// Set is the profiles of a site. It never changes; the methods may be called concurrently.
type Set struct {
	list   []*image.Profile // those of the site first
	broken map[string]error // by the name that a file would have had
}

// Builtin gives the profiles that ship with racker.
func Builtin() (*Set, error) { return Load("") }

// Load gives the profiles of the directory, those of files whose names end in .yaml, and those that ship with racker. A
// directory that is missing, or "", has none. Every file that is not understood is in the error, with line and column; the
// set holds all the others, and is never nil unless racker's own are damaged.
func Load(dir string) (*Set, error) {
	s := &Set{broken: map[string]error{}}
	var errs []error
	if dir != "" {
		if err := s.read(os.DirFS(dir), dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("read image profiles: %w", err))
		}
	}
	own, err := fs.Sub(builtin, "builtin")
	if err != nil {
		return nil, fmt.Errorf("read image profiles: %w", err)
	}
	shipped := &Set{broken: map[string]error{}}
	if err := shipped.read(own, ""); err != nil {
		return nil, fmt.Errorf("read racker's own image profiles: %w", err)
	}
	for _, p := range shipped.list {
		if at := s.find(p.Name); at != nil {
			continue // the site's own wins
		}
		s.list = append(s.list, p)
	}
	for _, name := range sortedKeys(s.broken) {
		errs = append(errs, s.broken[name])
	}
	return s, errors.Join(errs...)
}

// read adds the profiles of one directory, by name. dir is empty for those that ship with racker.
func (s *Set) read(from fs.FS, dir string) error {
	entries, err := fs.ReadDir(from, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		if !ok || e.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		p, err := readFile(from, dir, e.Name())
		if err != nil {
			s.broken[name] = err
			continue
		}
		s.list = append(s.list, p)
	}
	if dir == "" {
		for _, name := range sortedKeys(s.broken) {
			return s.broken[name]
		}
	}
	return nil
}

func readFile(from fs.FS, dir, name string) (*image.Profile, error) {
	path := filepath.Join(dir, name)
	info, err := fs.Stat(from, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s: a profile is a regular file of at most %d bytes", path, maxFile)
	}
	b, err := fs.ReadFile(from, name)
	if err != nil {
		return nil, err
	}
	p, err := Parse(path, b)
	if err != nil {
		return nil, err
	}
	if want := strings.TrimSuffix(name, ".yaml"); p.Name != want {
		return nil, fmt.Errorf("%s: its name is %q: want %q, as the file's", path, p.Name, want)
	}
	if dir != "" {
		p.File = path
	}
	return p, nil
}

// All gives all profiles, those of the site first; nobody may change it.
func (s *Set) All() []*image.Profile { return s.list }

// Get gives one profile by its name. Errors match image.ErrProfile; the one about a file that was not understood says so.
func (s *Set) Get(name string) (*image.Profile, error) {
	if err := s.broken[name]; err != nil {
		return nil, fmt.Errorf("%w %q: %w", image.ErrProfile, name, err)
	}
	if p := s.find(name); p != nil {
		return p, nil
	}
	names := make([]string, len(s.list))
	for i, p := range s.list {
		names[i] = p.Name
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%w %q: there is none of that name, only %s", image.ErrProfile, name, strings.Join(names, ", "))
}

// Guess gives the profile that the partitions of an image speak for, Plain when none does.
func (s *Set) Guess(parts []image.Partition) *image.Profile {
	if p := image.Guess(s.list, parts); p != nil {
		return p
	}
	return s.find(Plain)
}

func (s *Set) find(name string) *image.Profile {
	if i := slices.IndexFunc(s.list, func(p *image.Profile) bool { return p.Name == name }); i >= 0 {
		return s.list[i]
	}
	return nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
