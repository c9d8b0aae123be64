package timeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/racker-project/racker/pkg/event"
)

const (
	fileMode = 0o640
	dirMode  = 0o750
)

// growing is a file of lines that only grows. Beyond max bytes it becomes path.1, that one path.2, and so on; keep of
// them are kept.
type growing struct {
	path string
	max  int64
	keep int
}

// part is the name of the n-th older part; 0 is the file itself.
func (g growing) part(n int) string {
	if n == 0 {
		return g.path
	}
	return g.path + "." + strconv.Itoa(n)
}

// append writes whole lines, all or none of them. turned tells that older lines moved to the next part.
func (g growing) append(b []byte) (turned bool, err error) {
	f, size, err := g.open()
	if err != nil {
		return false, err
	}
	if size > 0 && size+int64(len(b)) > g.max {
		if err := errors.Join(f.Close(), g.turn()); err != nil {
			return false, err
		}
		turned = true
		if f, size, err = g.open(); err != nil {
			return turned, err
		}
	}
	end := make([]byte, 1)
	if size > 0 {
		if _, err := f.ReadAt(end, size-1); err == nil && end[0] != '\n' {
			b = append([]byte{'\n'}, b...) // what a crash left of a line stays alone
		}
	}
	if _, err = f.Write(b); err != nil {
		err = errors.Join(err, f.Truncate(size))
	}
	return turned, errors.Join(err, f.Close())
}

func (g growing) open() (*os.File, int64, error) {
	f, err := os.OpenFile(g.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(g.path), dirMode); err == nil {
			f, err = os.OpenFile(g.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, fileMode)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// turn moves every part one on; the oldest goes.
func (g growing) turn() error {
	for n := g.keep; n >= 0; n-- {
		var err error
		if n == g.keep {
			err = os.Remove(g.part(n))
		} else {
			err = os.Rename(g.part(n), g.part(n+1))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate: %w", err)
		}
	}
	return nil
}

// events gives the newest events that can be read, oldest first: limit of them, or, when that is zero, those in the last
// megabytes of each part.
func (g growing) events(limit int) []event.Event {
	var out []event.Event
	for n := 0; n <= g.keep && (limit == 0 || len(out) < limit); n++ {
		older, err := lastEvents(g.part(n), limit)
		if err == nil {
			out = append(older, out...)
		}
	}
	return out
}

// tailSize is how much of the end of a file is looked at: more than event.Held events.
const tailSize = 4 << 20

// tail reads the end of a file, from the start of a line. off is where it begins.
func tail(f *os.File, size int64) (b []byte, off int64, err error) {
	off = max(0, size-tailSize)
	b = make([]byte, size-off)
	n, err := f.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	b = b[:n]
	if off > 0 {
		cut := bytes.IndexByte(b, '\n') + 1
		b, off = b[cut:], off+int64(cut)
	}
	return b, off, nil
}

// repair cuts off what follows the last whole event, which is what a crash leaves, and gives the newest events. A file
// whose end holds no event at all is moved out of the way.
func (g growing) repair() ([]event.Event, error) {
	f, err := os.OpenFile(g.path, os.O_RDWR, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	b, off, err := tail(f, info.Size())
	if err != nil {
		return nil, err
	}
	good := b
	for len(good) > 0 {
		start := bytes.LastIndexByte(good[:len(good)-1], '\n') + 1
		if l := good[start:]; l[len(l)-1] == '\n' && len(parse(l, 0)) == 1 {
			break
		}
		good = good[:start]
	}
	switch {
	case len(good) == 0:
		return nil, os.Rename(g.path, g.path+".damaged")
	case len(good) < len(b):
		err = f.Truncate(off + int64(len(good)))
	}
	return parse(good, 0), err
}
