package cli

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/racker-project/racker/pkg/cluster"
)

// Modes of what racker makes in a cluster's folder: it has no secrets.
const (
	folderMode = 0o755
	fileMode   = 0o644
)

const (
	gitIgnore  = "/logs\n"
	customText = "# Butane for %s alone, merged last: what it says wins over cluster.yaml and snippets. For instance:\n#\n" +
		"#variant: flatcar\n#version: 1.0.0\n#storage:\n#  files:\n#    - path: /etc/motd\n#      overwrite: true\n#      contents:\n#        inline: hello\n"
)

// errEdited is matched when a file of racker's own was changed by somebody else.
var errEdited = errors.New("it was changed by hand")

// write brings the folder up to date: cluster.yaml where it is new, one file per node that racker makes of it, and one that is
// the operator's. What is as it should be is not touched. Notes are about what was left. Every file is written whole or not at
// all.
func (f *clusterFolder) write(nodes []declaredNode, logs string) (notes []string, err error) {
	if err := f.unedited(nodes); err != nil {
		return nil, err
	}
	if f.root == nil {
		if err := f.create(); err != nil {
			return nil, f.unwritable(err)
		}
	}
	if err := f.first(logs); err != nil {
		return nil, f.unwritable(err)
	}
	for i := range nodes {
		name := nodes[i].Spec.Name
		if err := f.put(configFile(name, configSuffix), nodes[i].Generated); err != nil {
			return nil, f.unwritable(err)
		}
		if err := f.putNew(configFile(name, customSuffix), fmt.Appendf(nil, customText, name)); err != nil {
			return nil, f.unwritable(err)
		}
	}
	return f.stale(nodes)
}

// first writes what a folder has besides its nodes. A cluster.yaml that changed since it was read stops everything.
func (f *clusterFolder) first(logs string) error {
	if err := f.putNew(cluster.FileName, f.text); err != nil {
		return err
	}
	if changed, err := f.changed(); err != nil || changed {
		return errors.Join(err, fmt.Errorf("%s changed while it was looked at: run the command again", f.path(cluster.FileName)))
	}
	if err := f.mkdir(configDir); err != nil {
		return err
	}
	if err := f.putNew(".gitignore", []byte(gitIgnore)); err != nil {
		return err
	}
	if _, err := f.root.Lstat("logs"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.root.Symlink(logs, "logs"); err != nil {
		return err
	}
	return f.give("logs")
}

// unedited refuses to write over what somebody changed in racker's own files: the change would be lost without a word.
func (f *clusterFolder) unedited(nodes []declaredNode) error {
	if f.root == nil {
		return nil
	}
	var errs []error
	for i := range nodes {
		name := configFile(nodes[i].Spec.Name, configSuffix)
		text, err := f.root.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, err)
		case !intact(text):
			errs = append(errs, withHint(fmt.Errorf("%s: %w", f.path(name), errEdited),
				"move the change into "+cluster.FileName+" or cl/NAME"+customSuffix+", and delete the file: racker makes it again"))
		}
	}
	return errors.Join(errs...)
}

// create makes the folder, in a directory that must be there.
func (f *clusterFolder) create() error {
	parent, err := os.OpenRoot(filepath.Dir(f.dir))
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }() // nothing is written through it but a directory, which is checked
	name := filepath.Base(f.dir)
	if err := parent.Mkdir(name, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if f.owner != nil {
		if err := parent.Lchown(name, f.owner.uid, f.owner.gid); err != nil {
			return err
		}
	}
	f.root, err = parent.OpenRoot(name)
	return err
}

func (f *clusterFolder) mkdir(name string) error {
	err := f.root.Mkdir(name, folderMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return errors.Join(err, f.give(name))
}

// give makes what racker made, as root, the operator's own.
func (f *clusterFolder) give(name string) error {
	if f.owner == nil {
		return nil
	}
	return f.root.Lchown(name, f.owner.uid, f.owner.gid)
}

// putNew writes a file unless there is one.
func (f *clusterFolder) putNew(name string, text []byte) error {
	if _, err := f.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.put(name, text)
}

// put writes a file whole, through another one beside it; one that says the same is left alone.
func (f *clusterFolder) put(name string, text []byte) (err error) {
	if was, err := f.root.ReadFile(name); err == nil && bytes.Equal(was, text) {
		return nil
	}
	temp := path.Join(path.Dir(name), ".racker-"+rand.Text()[:12])
	out, err := f.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.root.Remove(temp) // the first error is the one that matters
		}
	}()
	_, err = out.Write(text)
	if err == nil && f.owner != nil {
		err = out.Chown(f.owner.uid, f.owner.gid)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return f.root.Rename(temp, name)
}

// stale removes the files that racker made of nodes that are no longer declared, and names what of the operator's is left.
func (f *clusterFolder) stale(nodes []declaredNode) (notes []string, err error) {
	known := map[string]bool{}
	for i := range nodes {
		known[nodes[i].Spec.Name] = true
	}
	dir, err := f.root.Open(configDir)
	if err != nil {
		return nil, f.unwritable(err)
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, f.unwritable(err)
	}
	slices.Sort(names)
	for _, name := range names {
		full := path.Join(configDir, name)
		if node, custom := strings.CutSuffix(name, customSuffix); custom {
			if text, err := f.root.ReadFile(full); !known[node] && err == nil && string(text) != fmt.Sprintf(customText, node) {
				notes = append(notes, f.path(full)+": no node has this name; move it to that of the node if it was renamed")
			}
			continue
		}
		node, ok := strings.CutSuffix(name, configSuffix)
		if !ok || known[node] {
			continue
		}
		if text, err := f.root.ReadFile(full); err != nil || !intact(text) {
			continue
		}
		if err := f.root.Remove(full); err != nil {
			return notes, f.unwritable(err)
		}
	}
	return notes, nil
}

// unwritable says what to do when the folder cannot be written.
func (f *clusterFolder) unwritable(err error) error {
	err = fmt.Errorf("write the cluster folder %s: %w", f.dir, err)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, fs.ErrNotExist) {
		return withHint(err, "mkdir DIR where there is room, and --config DIR; nothing was ordered")
	}
	return err
}
