package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// socket is a listener at a path that others see only when it is ready for them.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo // what is at path, as long as nobody else put something there
}

// Close ends listening and removes the socket, unless another racker has put its own at the path.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if now, e := os.Lstat(s.path); e == nil && os.SameFile(now, s.info) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// bind makes a socket in a folder that nobody else may enter, gives it group and mode, and moves it to its path.
func (a *API) bind(ctx context.Context, path, group string) (*socket, error) {
	s, err := a.bindPrivately(ctx, path, group)
	if err != nil {
		return nil, fmt.Errorf("API socket %s: %w", path, err)
	}
	return s, nil
}

func (a *API) bindPrivately(ctx context.Context, path, group string) (*socket, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := vacant(ctx, path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".racker-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(private) }() // empty by then, but for a socket that nobody can reach
	l, err := listenIn(ctx, private)
	if err != nil {
		return nil, err
	}
	made := filepath.Join(private, socketName)
	if err := a.admit(ctx, made, path, group); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	info, err := os.Lstat(made)
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{UnixListener: l, path: path, info: info}, nil
}

// socketName is a socket's name before it is moved to its path.
const socketName = "s"

// listenIn binds a socket in dir. It does so by the folder's descriptor: the path of a socket has 107 bytes at most
// (unix(7)), of which the private folder's name must not take any.
func listenIn(ctx context.Context, dir string) (*net.UnixListener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName))
	if err != nil {
		return nil, err
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false) // by the time it closes, that descriptor may be another file
	return ul, nil
}

// vacant makes sure that no racker answers at path, and that there is nothing but a socket.
func vacant(ctx context.Context, path string) error {
	var d net.Dialer
	if c, err := d.DialContext(ctx, "unix", path); err == nil {
		return errors.Join(errors.New("another racker answers there"), c.Close())
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is something else at this path")
	}
	return nil
}

// admit lets the group connect to the socket made for path. Where there is no such group, only the owner may, who is root; a group of root's own
// is no danger, but that of another user may have anybody in it.
func (a *API) admit(ctx context.Context, made, path, group string) error {
	gid, err := groupID(group)
	if err == nil {
		err = os.Lchown(made, -1, gid)
	}
	mode := fs.FileMode(0o660)
	if err != nil {
		a.Log.InfoContext(ctx, "only the daemon's own user may use this socket", "file", path, "err", err)
		if os.Getegid() != 0 {
			mode = 0o600
		}
	}
	return os.Chmod(made, mode)
}

// groupID finds a group by its name.
func groupID(name string) (int, error) {
	if name == "" {
		return 0, user.UnknownGroupError(name)
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
