package initrd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var (
	// ErrNotFound is matched when there is no such microkernel, or no default one.
	ErrNotFound = errors.New("no such microkernel")
	// ErrDefault is matched by Remove for the default microkernel.
	ErrDefault = errors.New("it is the default microkernel")
)

// defaultLink is the name of the link to the default microkernel.
const defaultLink = "default"

// idLength is the length of an ID.
const idLength = 12

// File is one file with its size in bytes and its digest in lower-case hexadecimal.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Microkernel is the manifest of a microkernel. ID is 12 hexadecimal digits, made from the digests of the two files.
type Microkernel struct {
	ID       string              `json:"id"`
	Release  string              `json:"release"` // of the kernel, as uname -r prints it
	Arch     string              `json:"arch"`    // Go's GOARCH
	Kernel   File                `json:"kernel"`
	Initrd   File                `json:"initrd"`
	Agent    File                `json:"agent"`
	Modules  []string            `json:"modules"`
	Classes  map[string][]string `json:"classes"` // modules by purpose, without dependencies
	Firmware []string            `json:"firmware,omitempty"`
	// Built is when the files were put here; it is not part of the manifest, which stays the same for the same inputs.
	Built time.Time `json:"-"`
}

// validID reports whether a word can be an ID, and so a name below the directory of microkernels.
func validID(id string) bool {
	return len(id) == idLength && strings.Trim(id, "0123456789abcdef") == ""
}

// Get reads one manifest; the error matches ErrNotFound.
func Get(dir, id string) (*Microkernel, error) {
	if !validID(id) {
		return nil, fmt.Errorf("microkernel %q: %w", id, ErrNotFound)
	}
	name := filepath.Join(dir, id, ManifestFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("microkernel %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m := new(Microkernel)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", name, err)
	}
	if m.ID != id {
		return nil, fmt.Errorf("read manifest %s: it is of %q", name, m.ID)
	}
	if st, err := os.Stat(name); err == nil {
		m.Built = st.ModTime()
	}
	return m, nil
}

// List gives all microkernels, oldest first. A directory that does not exist has none.
func List(dir string) ([]*Microkernel, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list microkernels: %w", err)
	}
	var out []*Microkernel
	for _, e := range entries {
		if !e.IsDir() || !validID(e.Name()) {
			continue
		}
		m, err := Get(dir, e.Name())
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b *Microkernel) int { return a.Built.Compare(b.Built) })
	return out, nil
}

// Default gives the default microkernel; the error matches ErrNotFound when none was set.
func Default(dir string) (*Microkernel, error) {
	id, err := os.Readlink(filepath.Join(dir, defaultLink))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("default microkernel: %w", ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read default microkernel: %w", err)
	}
	return Get(dir, id)
}

// SetDefault makes a microkernel the default one, atomically.
func SetDefault(dir, id string) error {
	if _, err := Get(dir, id); err != nil {
		return err
	}
	tmp := filepath.Join(dir, fmt.Sprintf(".default-%d", os.Getpid()))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set default microkernel: %w", err)
	}
	if err := os.Symlink(id, tmp); err != nil {
		return fmt.Errorf("set default microkernel: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, defaultLink)); err != nil {
		return fmt.Errorf("set default microkernel: %w", err)
	}
	return syncDir(dir)
}

// Remove deletes a microkernel; the error matches ErrDefault for the default one and ErrNotFound for none.
func Remove(dir, id string) error {
	if !validID(id) {
		return fmt.Errorf("microkernel %q: %w", id, ErrNotFound)
	}
	if link, err := os.Readlink(filepath.Join(dir, defaultLink)); err == nil && link == id {
		return fmt.Errorf("remove microkernel %s: %w", id, ErrDefault)
	}
	if _, err := os.Stat(filepath.Join(dir, id)); err != nil {
		return fmt.Errorf("microkernel %s: %w", id, ErrNotFound)
	}
	// renamed first, so that a half-deleted one is never served
	gone := filepath.Join(dir, ".gone-"+id)
	if err := os.Rename(filepath.Join(dir, id), gone); err != nil {
		return fmt.Errorf("remove microkernel %s: %w", id, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove microkernel %s: %w", id, err)
	}
	return nil
}
