package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Lines around what is racker's in a file of the system's. The second first line tells that the text before it had no line end,
// so that taking the block away leaves the file as it was.
const (
	blockBegin     = "# BEGIN racker: written by racker, changed by every racker bootstrap and racker apply"
	blockBeginBare = "# BEGIN racker (the line before had no end): written by racker, changed by every racker bootstrap and racker apply"
	blockEnd       = "# END racker"
)

// blockError says which lines of a file keep racker from finding its block.
type blockError struct {
	line int
	what string
}

func (e *blockError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// withBlock gives text with racker's block holding body, in the place where the block was, else at the end; an empty body takes it
// away. All else stays byte for byte. The error is a *blockError: then somebody edited the lines around the block.
func withBlock(text, body []byte) ([]byte, error) {
	before, after, found, bare, err := splitBlock(text)
	if err != nil {
		return nil, err
	}
	if !found {
		bare = len(before) > 0 && before[len(before)-1] != '\n'
	}
	if len(body) == 0 {
		if found && bare {
			before = bytes.TrimSuffix(before, []byte("\n"))
		}
		return append(bytes.Clone(before), after...), nil
	}
	var out bytes.Buffer
	out.Write(before)
	begin := blockBegin
	if bare {
		begin = blockBeginBare
		if !found {
			out.WriteByte('\n')
		}
	}
	out.WriteString(begin + "\n")
	out.Write(body)
	if body[len(body)-1] != '\n' {
		out.WriteByte('\n')
	}
	out.WriteString(blockEnd + "\n")
	out.Write(after)
	return out.Bytes(), nil
}

// splitBlock gives what is before and after racker's block; all is before when there is none.
func splitBlock(text []byte) (before, after []byte, found, bare bool, err error) {
	at, n, begun := 0, 0, 0
	for line := range bytes.Lines(text) {
		n++
		switch string(bytes.TrimRight(line, "\r\n")) {
		case blockBegin, blockBeginBare:
			if begun != 0 || found {
				return nil, nil, false, false, &blockError{n, "racker's block begins a second time"}
			}
			begun, before = n, text[:at]
			bare = string(bytes.TrimRight(line, "\r\n")) == blockBeginBare
		case blockEnd:
			if begun == 0 {
				return nil, nil, false, false, &blockError{n, "racker's block ends, and does not begin"}
			}
			found, begun, after = true, 0, text[at+len(line):]
		}
		at += len(line)
	}
	switch {
	case begun != 0:
		return nil, nil, false, false, &blockError{begun, "racker's block begins, and does not end"}
	case !found:
		return text, nil, false, false, nil
	}
	return before, after, true, bare, nil
}

// changeBlock puts body between racker's lines of a file, atomically, and tells whether that changed anything. A file that is
// missing is made, unless there is nothing to put in; one that made keeps is removed again when nothing is left in it.
func changeBlock(path string, body []byte, made bool) (changed bool, err error) {
	path, err = realPath(path)
	if err != nil {
		return false, err
	}
	old, err := os.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return false, err
	}
	if missing && len(body) == 0 {
		return false, nil
	}
	text, err := withBlock(old, body)
	if err != nil {
		return false, fmt.Errorf("%s %w; nothing was written", path, err)
	}
	switch {
	case !missing && bytes.Equal(old, text):
		return false, nil
	case len(text) == 0 && made:
		return true, os.Remove(path)
	}
	return true, replaceFile(path, text)
}

// realPath follows links: the file that is meant is changed, and not the link to it.
func realPath(path string) (string, error) {
	to, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return to, err
}

// replaceFile gives a file a new content at once, with the owner and mode of before; a new one is 0644. Containers mount files such as
// /etc/hosts: such a one cannot be replaced and is written in place.
func replaceFile(path string, text []byte) error {
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(t.Name()) }() // gone after the rename
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := t.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
				return errors.Join(err, t.Close())
			}
		}
	}
	_, err = t.Write(text)
	if err := errors.Join(err, t.Chmod(mode), t.Sync(), t.Close()); err != nil {
		return err
	}
	err = os.Rename(t.Name(), path)
	if errors.Is(err, syscall.EBUSY) {
		return overwrite(path, text)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// overwrite writes a file in place.
func overwrite(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
