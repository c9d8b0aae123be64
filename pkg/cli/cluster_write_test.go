package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/cluster"
)

func declaredNamed(names ...string) []declaredNode {
	var out []declaredNode
	for _, name := range names {
		out = append(out, declaredNode{Spec: cluster.Spec{Name: name}, Generated: generated(name, []byte("variant: flatcar\n"))})
	}
	return out
}

// newFolder is a folder that is not there yet, in a home.
func newFolder(t *testing.T) *clusterFolder {
	t.Helper()
	home := t.TempDir()
	f := &clusterFolder{dir: filepath.Join(home, "flatcar-container-linux"), home: home}
	if err := f.take([]byte("image: flatcar\n")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// folderTree gives what is in a folder: files with their text, links with an arrow.
func folderTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			out[name] = "-> " + target
			return err
		}
		b, err := os.ReadFile(path)
		out[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFolderIsWritten(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	nodes := declaredNamed("node-1", "node-2")
	if notes, err := f.write(nodes, "/state/logs"); err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	first := folderTree(t, f.dir)
	for name, want := range map[string]string{"cluster.yaml": "image: flatcar\n", "logs": "-> /state/logs", ".gitignore": "/logs\n", "cl/node-1.yaml": string(nodes[0].Generated)} {
		if first[name] != want {
			t.Errorf("%s: %q, want %q", name, first[name], want)
		}
	}
	if len(first) != 7 || !strings.HasPrefix(first["cl/node-2-custom.yaml"], "# Butane for node-2 alone") {
		t.Errorf("%d files: %v", len(first), first)
	}
	before, err := os.Stat(filepath.Join(f.dir, "cl/node-1.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.write(nodes, "/state/logs"); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(f.dir, "cl/node-1.yaml"))
	if err != nil || !os.SameFile(before, after) {
		t.Error("what was right was written again")
	}
	if d := cmp.Diff(first, folderTree(t, f.dir)); d != "" {
		t.Errorf("the second time (-first +second):\n%s", d)
	}
}

// TestFolderOfARenamedNode: what racker made goes, what the operator wrote stays and is named.
func TestFolderOfARenamedNode(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	if _, err := f.write(declaredNamed("node-1", "node-2", "node-3"), "/state/logs"); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(f.dir, "cl/node-2-custom.yaml")
	if err := os.WriteFile(own, []byte("variant: flatcar\nversion: 1.0.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	notes, err := f.write(declaredNamed("web-1"), "/state/logs")
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "node-2-custom.yaml: no node has this name") {
		t.Errorf("%q, %v", notes, err)
	}
	got := folderTree(t, f.dir)
	if got["cl/node-1.yaml"] != "" || got["cl/node-2-custom.yaml"] == "" || got["cl/web-1.yaml"] == "" {
		t.Errorf("%v", got)
	}
}

// TestFolderEdited: by somebody in racker's own files, and in cluster.yaml while racker looks at it.
func TestFolderEdited(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	nodes := declaredNamed("node-1", "node-2")
	if _, err := f.write(nodes, "/state/logs"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cl/node-1.yaml", "cl/node-2.yaml"} {
		path := filepath.Join(f.dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, "# mine\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.write(nodes, "/state/logs"); !errors.Is(err, errEdited) || !strings.Contains(err.Error(), "node-1.yaml") || !strings.Contains(err.Error(), "node-2.yaml") {
		t.Errorf("error %v, want one about both", err)
	}
	other := newFolder(t)
	if _, err := other.write(nodes, "/state/logs"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other.path(cluster.FileName), []byte("image: other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := other.write(nodes, "/state/logs"); err == nil || !strings.Contains(err.Error(), "changed while it was looked at") {
		t.Errorf("error %v", err)
	}
}

// TestFolderBelongsToTheOperator: root writes what the user who called sudo owns, and follows no link of theirs out of it.
func TestFolderBelongsToTheOperator(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	f := newFolder(t)
	f.owner = &folderOwner{65534, 65534}
	nodes := declaredNamed("node-1")
	if _, err := f.write(nodes, "/state/logs"); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(f.dir, func(path string, _ fs.DirEntry, err error) error {
		info, lerr := os.Lstat(path)
		if err != nil || lerr != nil {
			return errors.Join(err, lerr)
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 65534 || s.Gid != 65534 {
			t.Errorf("%s is of %d:%d", path, s.Uid, s.Gid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(f.home, "outside")
	if err := errors.Join(os.Mkdir(outside, 0o755), os.RemoveAll(filepath.Join(f.dir, "cl")), os.Symlink(outside, filepath.Join(f.dir, "cl"))); err != nil {
		t.Fatal(err)
	}
	if _, err := f.write(nodes, "/state/logs"); err == nil {
		t.Error("a link out of the folder was followed")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("written outside: %v, %v", left, err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.dir = filepath.Join(f.home, "gone", "flatcar-container-linux")
	if _, err := f.write(declaredNamed("node-1"), "/state/logs"); err == nil || len(hints(err)) == 0 {
		t.Errorf("no home: %v, hints %q", err, hints(err))
	}
	if err := (&clusterFolder{dir: "/x"}).unwritable(&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EROFS}); !strings.Contains(hints(err)[0], "--config DIR") {
		t.Errorf("read-only: %v", err)
	}
}

func TestIntact(t *testing.T) {
	t.Parallel()
	good := generated("node-1", []byte("a\nb\n"))
	if !intact(good) {
		t.Error("what was made is not intact")
	}
	for _, text := range []string{"", "a", string(good) + "c", strings.Replace(string(good), "a\n", "x\n", 1), "a\nb\nc\n"} {
		if intact([]byte(text)) {
			t.Errorf("%q is taken for intact", text)
		}
	}
}
