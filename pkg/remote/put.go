package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// File is a file for a node.
type File struct {
	// Path is absolute and clean; its folder exists.
	Path string
	// Mode has the permission bits only.
	Mode fs.FileMode
	// Size is what Content holds, in bytes: less or more is an error.
	Size    int64
	Content io.Reader
	// Root writes it as root, by sudo; it then belongs to root.
	Root bool
}

// put makes a file from standard input: $1 path, $2 mode, $3 size. It is complete and on disk before it has its name. The
// new file is beside the old one, so that the rename stays in one file system.
const put = `set -eu
umask 077
new=$(mktemp "$1.XXXXXXXX")
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$new"
[ "$(wc -c <"$new")" -eq "$3" ] || { echo "cut off" >&2; exit 90; }
chmod "$2" "$new"
sync "$new"
mv -f "$new" "$1"
sync "$(dirname "$1")"
`

// Put writes a file atomically: whoever looks sees the old one or the new one. The path is an argument of a process on the
// node, its content is not. Errors are Run's, or say what the node's shell said.
func (c *Client) Put(ctx context.Context, f File) error {
	if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" || strings.ContainsRune(f.Path, 0) {
		return fmt.Errorf("put %q on %s: want an absolute path", f.Path, c.name)
	}
	if f.Mode&^fs.ModePerm != 0 || f.Size < 0 {
		return fmt.Errorf("put %s on %s: mode %v, size %d", f.Path, c.name, f.Mode, f.Size)
	}
	words := []string{"sh", "-c", quote(put), "sh", quote(f.Path), strconv.FormatUint(uint64(f.Mode), 8), strconv.FormatInt(f.Size, 10)}
	command := "exec " + strings.Join(words, " ")
	if f.Root {
		command = `[ "$(id -u)" = 0 ] && ` + command + "; exec sudo -n -- " + strings.Join(words, " ")
	}
	content := &source{in: io.LimitReader(f.Content, f.Size+1)}
	r, err := c.run(ctx, command, content, DefaultOutput)
	switch {
	case err != nil:
	case content.err != nil:
		err = content.err
	case r.ExitCode != 0:
		err = errors.New(failure(r))
	}
	if err != nil {
		return fmt.Errorf("put %s on %s: %w", f.Path, c.name, err)
	}
	return nil
}

// source remembers why it could not be read.
type source struct {
	in  io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// failure says how a command failed, in its own last words.
func failure(r Result) string {
	text := strings.TrimSpace(string(r.Stderr))
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	if text == "" {
		return fmt.Sprintf("exit code %d", r.ExitCode)
	}
	return fmt.Sprintf("%s (exit code %d)", text, r.ExitCode)
}

// quote gives a word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
