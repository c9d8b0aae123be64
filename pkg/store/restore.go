package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// restoreBatch is how many bytes of values one transaction of a restore takes, roughly.
const restoreBatch = 8 << 20

// tempInfix is in the name of the folder in which a new state is made.
const tempInfix = ".new-"

// Held is a state file that is locked to be replaced: no racker opens it meanwhile. It is for one goroutine.
type Held struct {
	// Path is the file's name.
	Path string
	// Keys is how many keys the state has; 0 also for a file that is missing, new or damaged.
	Keys int
	// Damaged says why the file cannot be read, or is of a newer racker; nil when it can.
	Damaged error

	opt   Options
	file  *os.File
	fresh bool // Hold made the file
}

// Hold locks the state file at path, which need not exist, and looks into it. Errors match ErrLocked and name the file.
// Close lets it go.
func Hold(path string, opt Options) (*Held, error) {
	h := &Held{Path: path, opt: opt.withDefaults()}
	if err := h.hold(); err != nil {
		return nil, fmt.Errorf("hold state %s: %w", path, explain(err))
	}
	return h, nil
}

// hold looks first, since bbolt wants the lock for that itself; when the file changed before we had the lock, it looks
// again.
func (h *Held) hold() error {
	if err := os.MkdirAll(filepath.Dir(h.Path), 0o700); err != nil {
		return err
	}
	for {
		before, err := h.look()
		if err != nil {
			return err
		}
		h.fresh = before == nil
		if h.file, err = lockedFile(h.Path, os.O_RDWR|os.O_CREATE, 0o600, h.opt.LockTimeout); err != nil {
			return err
		}
		after, err := h.file.Stat()
		if err != nil {
			return errors.Join(err, h.file.Close())
		}
		if before == nil && after.Size() == 0 ||
			before != nil && os.SameFile(before, after) && before.Size() == after.Size() && before.ModTime().Equal(after.ModTime()) {
			if err := h.tidy(); err != nil {
				return errors.Join(err, h.file.Close())
			}
			return nil
		}
		if err := h.file.Close(); err != nil {
			return err
		}
	}
}

// tidy removes what a restore that was killed left beside the file; under the lock there is no other.
func (h *Held) tidy() error {
	dir := filepath.Dir(h.Path)
	names, err := os.ReadDir(dir)
	for _, n := range names {
		if strings.HasPrefix(n.Name(), filepath.Base(h.Path)+tempInfix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, n.Name())))
		}
	}
	return err
}

// look counts the keys and gives what the file was before; nil for none.
func (h *Held) look() (fs.FileInfo, error) {
	info, err := os.Lstat(h.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // no file is an answer
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	h.Keys, h.Damaged = 0, nil
	s, err := takeFile(h.Path, h.opt)
	switch {
	case errors.Is(err, fs.ErrNotExist): // empty: a new one
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrSchema):
		h.Damaged = err
	case err != nil:
		return nil, err
	default:
		h.Keys = len(s.KVs)
	}
	return info, nil
}

// Close lets the file go, as it is.
func (h *Held) Close() error {
	var err error
	if h.fresh {
		err = os.Remove(h.Path)
	}
	return errors.Join(err, h.file.Close())
}

// Replace puts the snapshot in the place of the state, which stays beside it as FILE.before-TIME; the name is given, or ""
// where there was nothing to keep. The new file has the owner of the old one, or of the folder, and mode 0600. After an
// error, or a crash at any point, the old state or the new one is there, whole.
func (h *Held) Replace(ctx context.Context, s *Snapshot, now time.Time) (kept string, err error) {
	if kept, err = h.replace(ctx, s, now); err != nil {
		return "", fmt.Errorf("replace state %s: %w", h.Path, explain(err))
	}
	return kept, nil
}

func (h *Held) replace(ctx context.Context, s *Snapshot, now time.Time) (kept string, err error) {
	temp, err := os.MkdirTemp(filepath.Dir(h.Path), filepath.Base(h.Path)+tempInfix+"*") // mode 0700
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	file := filepath.Join(temp, filepath.Base(h.Path))
	if err := s.create(ctx, file, h.opt); err != nil {
		return "", err
	}
	if err := h.own(file); err != nil {
		return "", err
	}
	if !h.fresh {
		kept = h.Path + ".before-" + now.UTC().Format("20060102T150405.000Z")
		if err := os.Link(h.Path, kept); err != nil {
			return "", fmt.Errorf("keep the old state: %w", err)
		}
		if err := h.file.Chmod(0o600); err != nil { // somebody may have opened it to others
			return "", err
		}
	}
	if err := os.Rename(file, h.Path); err != nil {
		return "", err
	}
	h.fresh = false
	return kept, syncDir(filepath.Dir(h.Path))
}

// own gives the new file the owner that the daemon's file has, which is not root under systemd.
func (h *Held) own(file string) error {
	from := h.Path
	if h.fresh {
		from = filepath.Dir(h.Path)
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	like, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil // only root may give files away
	}
	return os.Chown(file, int(like.Uid), int(like.Gid))
}

// create writes the snapshot to a new file, durably, and takes it to the schema of this racker.
func (s *Snapshot) create(ctx context.Context, path string, opt Options) error {
	schema := max(s.Schema, 2) // 1 differs in the layout only
	if err := s.fill(ctx, path, opt, schema); err != nil {
		return err
	}
	b, err := open(path, opt, steps())
	if err != nil {
		return err
	}
	return b.Close()
}

func (s *Snapshot) fill(ctx context.Context, path string, opt Options, schema int) (err error) {
	b, err := openBolt(path, opt, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.update(func(tx *bbolt.Tx) error { return create(tx, schema) }); err != nil {
		return err
	}
	for rest := s.KVs; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, size := 0, 0
		for n < len(rest) && size < restoreBatch {
			size += len(rest[n].Key) + len(rest[n].Value)
			n++
		}
		var ops []Op
		for _, kv := range rest[:n] {
			ops = append(ops, Put(kv.Key, kv.Value))
		}
		if _, err := b.Txn(ctx, nil, ops...); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
