package hwinfo

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tree is a copy of sysfs, procfs and devtmpfs in a temporary directory, made from the lines of a capture: F PATH
// CONTENT is an attribute, L PATH TARGET a link, D PATH an empty directory. Paths have colons, which files of a Go
// module must not have, hence no plain copy.
type tree struct {
	t    *testing.T
	root string
	udev map[string]string // lines U NAME PATH
}

func newTree(t *testing.T, files ...string) *tree {
	t.Helper()
	tr := &tree{t: t, root: t.TempDir(), udev: map[string]string{}}
	tr.add("D /dev\nD /sys/block\nD /sys/class/net\nD /proc\n")
	tr.add(`F /proc/self/mountinfo "1 1 0:2 / / rw - rootfs rootfs rw\n"`)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join("testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		tr.add(string(b))
	}
	return tr
}

func (tr *tree) reader() Reader {
	return Reader{Sys: tr.root + "/sys", Dev: tr.root + "/dev", Proc: tr.root + "/proc"}
}

func (tr *tree) add(lines string) {
	tr.t.Helper()
	s := bufio.NewScanner(strings.NewReader(lines))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, " ", 3)
		path := filepath.Join(tr.root, f[1])
		var err error
		switch f[0] {
		case "F":
			var content string
			if content, err = strconv.Unquote(f[2]); err == nil {
				tr.mkdir(filepath.Dir(path))
				err = os.WriteFile(path, []byte(content), 0o644)
			}
		case "L":
			tr.mkdir(filepath.Dir(path))
			err = os.Symlink(f[2], path)
		case "D":
			tr.mkdir(path)
		case "U":
			tr.udev[f[1]] = f[2]
		default:
			tr.t.Fatalf("line %q", line)
		}
		if err != nil {
			tr.t.Fatalf("line %q: %v", line, err)
		}
	}
}

func (tr *tree) mkdir(path string) {
	tr.t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		tr.t.Fatal(err)
	}
}

// device makes a sparse file in the place of a device node.
func (tr *tree) device(name string, size int64) *os.File {
	tr.t.Helper()
	f, err := os.Create(filepath.Join(tr.root, "dev", name))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { f.Close() })
	return f
}
