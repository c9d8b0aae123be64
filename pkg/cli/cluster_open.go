package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/racker-project/racker/pkg/cluster"
)

// clusterFolder is the folder in which a cluster's nodes are declared. What is written there goes through root, which no link
// inside leads out of: the folder is the operator's, while racker may be root.
type clusterFolder struct {
	dir   string
	home  string
	owner *folderOwner // of what is made here; nil for the caller
	root  *os.Root     // nil until the folder is there
	text  []byte       // of cluster.yaml, as it was read
	file  *cluster.File
}

// folderOwner is the user whom a folder in a home belongs to.
type folderOwner struct{ uid, gid int }

// errNoCluster is matched when a folder has no cluster.yaml.
var errNoCluster = errors.New("there is no " + cluster.FileName)

// openCluster opens a folder, which need not be there yet; read finds out. sudoUser is who called sudo, "" for nobody.
func openCluster(dir, sudoUser string) (*clusterFolder, error) {
	home, err := operatorHome(sudoUser)
	if err != nil {
		return nil, err
	}
	f := &clusterFolder{dir: dir, home: home}
	if sudoUser != "" && os.Geteuid() == 0 {
		if f.owner, err = ownerOf(sudoUser); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cluster folder: %w", err)
	}
	f.root = root
	return f, nil
}

func ownerOf(name string) (*folderOwner, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("look up %s, who called sudo: %w", name, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("user ID of %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("group ID of %s: %w", name, err)
	}
	return &folderOwner{uid, gid}, nil
}

func (f *clusterFolder) close() {
	if f.root != nil {
		_ = f.root.Close() // nothing was written through it that was not checked
	}
}

// path names a file of the folder for people.
func (f *clusterFolder) path(name string) string { return filepath.Join(f.dir, name) }

// read reads cluster.yaml and the files that it names. The error matches errNoCluster, or is a *cluster.Error with all
// mistakes.
func (f *clusterFolder) read() error {
	if f.root == nil {
		return fmt.Errorf("%s: %w", f.dir, errNoCluster)
	}
	text, err := f.root.ReadFile(cluster.FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", f.dir, errNoCluster)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.dir, err)
	}
	return f.take(text)
}

// take takes a text as that of cluster.yaml.
func (f *clusterFolder) take(text []byte) error {
	file, err := cluster.Parse(f.path(cluster.FileName), text)
	if err == nil {
		err = file.LoadFiles(f.readNamed)
	}
	if err != nil {
		return withCode(codeUsage, err)
	}
	f.text, f.file = text, file
	return nil
}

// maxNamedFile bounds a file that cluster.yaml names, in bytes.
const maxNamedFile = 1 << 20

// readNamed reads a file that cluster.yaml names: of the folder, below ~, or anywhere.
func (f *clusterFolder) readNamed(name string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		name = filepath.Join(f.home, rest)
	}
	if filepath.IsAbs(name) {
		return readAtMost(os.Open(name))
	}
	if f.root == nil {
		return nil, fmt.Errorf("%s: the folder is not there yet; name the file from / or ~", name)
	}
	return readAtMost(f.root.Open(filepath.Clean(name)))
}

func readAtMost(file *os.File, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", file.Name())
	case info.Size() > maxNamedFile:
		return nil, fmt.Errorf("%s has %d bytes, of %d at most", file.Name(), info.Size(), maxNamedFile)
	}
	b := make([]byte, info.Size())
	n, err := file.ReadAt(b, 0)
	if err != nil && n < len(b) {
		return nil, err
	}
	return b, nil
}

// changed reports whether cluster.yaml is no longer what was read.
func (f *clusterFolder) changed() (bool, error) {
	text, err := f.root.ReadFile(cluster.FileName)
	if err != nil {
		return true, fmt.Errorf("%s: %w", f.dir, err)
	}
	return !bytes.Equal(text, f.text), nil
}
