package initrd

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrModules is matched when a modules directory does not fit: it belongs to another kernel, has no NIC driver, or is
// no modules directory at all.
var ErrModules = errors.New("unusable kernel modules")

// tree is a modules directory: where each module lies, and what is built into the kernel.
type tree struct {
	root    string            // .../lib/modules/RELEASE
	files   map[string]string // name -> path below root
	builtin map[string]bool
}

// openTree indexes the modules of a kernel release. dir is lib/modules/RELEASE itself, or a directory that has it
// below lib/modules or usr/lib/modules.
func openTree(dir, release string) (*tree, error) {
	root, err := findRoot(dir, release)
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, files: map[string]string{}, builtin: map[string]bool{}}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, ok := moduleName(p)
		if !ok || !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		// modules in updates/ or extra/ replace those of the kernel, as depmod.d(5) has it by default
		if old, there := t.files[name]; !there || strings.HasPrefix(old, "kernel/") && !strings.HasPrefix(rel, "kernel/") {
			t.files[name] = filepath.ToSlash(rel)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read kernel modules in %s: %w", root, err)
	}
	if err := t.readBuiltin(); err != nil {
		return nil, err
	}
	return t, nil
}

// findRoot gives the directory with the modules of a release.
func findRoot(dir, release string) (string, error) {
	for _, p := range []string{
		filepath.Join(dir, "lib/modules", release), filepath.Join(dir, "usr/lib/modules", release), filepath.Join(dir, release), dir,
	} {
		if st, err := os.Stat(filepath.Join(p, "kernel")); err == nil && st.IsDir() {
			// a directory that was copied under another name is still checked by each module's vermagic
			return p, nil
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("open kernel modules: %w", err)
	}
	return "", fmt.Errorf("%w: %s has no modules of kernel %s", ErrModules, dir, release)
}

// readBuiltin reads modules.builtin; a tree without it has nothing built in that we know of.
func (t *tree) readBuiltin() error {
	f, err := os.Open(filepath.Join(t.root, "modules.builtin"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read built-in modules: %w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if name, ok := moduleName(strings.TrimSpace(sc.Text())); ok {
			t.builtin[name] = true
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read built-in modules: %w", err)
	}
	return nil
}
