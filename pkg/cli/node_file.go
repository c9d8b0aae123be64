package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cli/serve"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
)

// nodesFile is nodes.csv while a command edits it. One command at a time has it.
type nodesFile struct {
	path string
	opt  rack.ReadOptions
	text []byte // as it was when it was opened
	info os.FileInfo
	lock *os.File // the folder
	next string   // path of the text that is to take its place, "" for none
}

// openNodesFile reads nodes.csv and locks it against other commands. The caller closes it.
func openNodesFile(settings *config.Settings) (*nodesFile, error) {
	local, err := serve.LocalInterfaces()
	if err != nil {
		return nil, err
	}
	path, err := filepath.EvalSymlinks(filepath.Join(settings.OEMDir, rack.NodesFile))
	if err != nil {
		return nil, withHint(fmt.Errorf("edit nodes.csv: %w", err), "racker factory check")
	}
	f := &nodesFile{path: path, opt: rack.ReadOptions{
		Local: local, ManagementMAC: settings.ManagementMAC, InternalInterface: settings.Internal.Interface,
	}}
	if f.lock, err = os.Open(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("edit nodes.csv: %w", err)
	}
	if err := f.read(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *nodesFile) read() error {
	err := syscall.Flock(int(f.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return withCode(codeLocked, fmt.Errorf("edit %s: another racker is editing it", f.path))
	}
	if err != nil {
		return fmt.Errorf("lock the folder of %s: %w", f.path, err)
	}
	if f.info, err = os.Stat(f.path); err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	if f.text, err = os.ReadFile(f.path); err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	return nil
}

// stage writes the one text that commit puts in place next, with the owner and mode of the file: whatever could go wrong does so
// before anybody is told of the change.
func (f *nodesFile) stage(text []byte) error {
	if f.next != "" {
		return nil // staged before
	}
	t, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+"-")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return withHint(fmt.Errorf("%s cannot be changed: %w", f.path, err), "run it as root")
	}
	if err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	f.next = t.Name()
	_, err = t.Write(text)
	err = errors.Join(err, f.likeBefore(t), t.Sync(), t.Close())
	if err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	return nil
}

// likeBefore gives the new file the owner and mode of the old one.
func (f *nodesFile) likeBefore(t *os.File) error {
	if owner, ok := f.info.Sys().(*syscall.Stat_t); ok {
		if err := t.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return t.Chmod(f.info.Mode().Perm())
}

// commit puts the staged text in place, unless somebody without our lock, such as an editor, has changed the file
// meanwhile.
func (f *nodesFile) commit() error {
	now, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	if !os.SameFile(now, f.info) || !now.ModTime().Equal(f.info.ModTime()) || now.Size() != f.info.Size() {
		return withHint(fmt.Errorf("%s was changed by somebody else meanwhile", f.path), "the same command again")
	}
	if err := os.Rename(f.next, f.path); err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	f.next = ""
	if err := f.lock.Sync(); err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	return nil
}

// close gives the file back, and removes what was staged and not committed.
func (f *nodesFile) close() {
	if f.next != "" {
		_ = os.Remove(f.next) // nothing reads it
	}
	_ = f.lock.Close() // the lock goes with it
}

// rowKeeper is what a command needs of the daemon that edits nodes.csv.
type rowKeeper interface {
	nodeGetter
	rowReader
	Rack(ctx context.Context) (api.RackView, error)
}

// put makes text the file's and has the daemon read it. A text that the daemon refuses is taken back.
func (f *nodesFile) put(ctx context.Context, d rowKeeper, text []byte) error {
	changed := !bytes.Equal(text, f.text)
	if changed {
		if err := f.stage(text); err != nil {
			return err
		}
		if err := f.commit(); err != nil {
			return err
		}
	}
	_, err := d.Reload(ctx)
	switch {
	case err == nil:
		return nil
	case api.Unreachable(err) || ctx.Err() != nil:
		return withHint(fmt.Errorf("%s is written, and the daemon has not read it: %w", f.path, err),
			"the same command again; the daemon reads it at its start, too")
	case !changed:
		return err
	}
	if back := f.takeBack(); back != nil {
		return errors.Join(fmt.Errorf("the daemon refused the new %s: %w", f.path, err), back)
	}
	return fmt.Errorf("the daemon refused the change, and %s is as it was: %w", f.path, err)
}

// takeBack puts the text back that was there before commit.
func (f *nodesFile) takeBack() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("edit nodes.csv: %w", err)
	}
	f.info = info
	if err := f.stage(f.text); err != nil {
		return err
	}
	return f.commit()
}
