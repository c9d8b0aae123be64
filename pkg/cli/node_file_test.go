package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
)

const twoRows = "# rack\nPrimary MAC,BMC MAC,Secondary MAC\n52:54:00:00:00:ff,,52:54:00:00:02:ff\n52:54:00:00:00:01,52:54:00:00:01:01,\n"

// openTwoRows opens a nodes.csv of its own for an edit, by way of a link.
func openTwoRows(t *testing.T) (f *nodesFile, path string, settings *config.Settings) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "real.csv")
	if err := os.WriteFile(path, []byte(twoRows), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.csv", filepath.Join(dir, "nodes.csv")); err != nil {
		t.Fatal(err)
	}
	settings = &config.Settings{OEMDir: dir}
	if err := settings.ManagementMAC.UnmarshalText([]byte("52:54:00:00:00:ff")); err != nil {
		t.Fatal(err)
	}
	f, err := openNodesFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f, path, settings
}

// holds wants the file to have the text, its mode, and nothing beside it but the link.
func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if d := cmp.Diff(want, string(got)); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 2 {
		t.Errorf("beside it: %v, %v", all, err)
	}
}

// reread is a daemon that answers a reload with an error, or none.
type reread struct {
	rowKeeper
	err  error
	seen func()
}

func (r reread) Reload(context.Context) (api.ReloadView, error) {
	if r.seen != nil {
		r.seen()
	}
	return api.ReloadView{}, r.err
}

func TestNodesFile(t *testing.T) {
	t.Parallel()
	const next = twoRows + "# more\n"
	_, gone := api.NewClient("/nowhere/racker.sock").Reload(t.Context())
	refused := &api.Error{Message: "a run is in progress", Code: codeFailed}
	tests := map[string]struct {
		err  error
		want string
		text string
	}{
		"read":    {want: next},
		"refused": {err: refused, want: twoRows, text: "the daemon refused the change, and "},
		"gone":    {err: gone, want: next, text: "is written, and the daemon has not read it: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, path, _ := openTwoRows(t)
			err := f.put(t.Context(), reread{err: tt.err, seen: func() { holds(t, path, next) }}, []byte(next))
			if tt.text == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.text) || !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %q", err, tt.text)
			}
			f.close()
			holds(t, path, tt.want)
		})
	}
}

// What somebody else does to the file meanwhile is never lost.
func TestNodesFileOfOthers(t *testing.T) {
	t.Parallel()
	f, path, settings := openTwoRows(t)
	if _, err := openNodesFile(settings); givenCode(err) != codeLocked {
		t.Errorf("two edits at once: %v, want code 5", err)
	}
	if err := f.stage([]byte("staged")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(twoRows+"# an editor's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.commit(); err == nil || !strings.Contains(err.Error(), "changed by somebody else meanwhile") {
		t.Errorf("got %v", err)
	}
	f.close()
	holds(t, path, twoRows+"# an editor's\n")
	if f, err := openNodesFile(settings); err != nil {
		t.Errorf("the lock stayed: %v", err)
	} else {
		f.close()
	}
	if _, err := openNodesFile(&config.Settings{OEMDir: "/nowhere"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
