package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// maxLine bounds a line that is read, in bytes; what is longer was not written by this package.
const maxLine = 1 << 20

// files gives the names of the record's files, oldest first: PATH.N, where N is the number of the file's last entry, and
// then PATH itself.
func files(path string) ([]string, error) {
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var ends []uint64
	for _, n := range names {
		if end, ok := strings.CutPrefix(n.Name(), filepath.Base(path)+"."); ok {
			if seq, err := strconv.ParseUint(end, 10, 64); err == nil && rotated(path, seq) == filepath.Join(filepath.Dir(path), n.Name()) {
				ends = append(ends, seq)
			}
		}
	}
	slices.Sort(ends)
	var out []string
	for _, seq := range ends {
		out = append(out, rotated(path, seq))
	}
	return append(out, path), nil
}

// rotated is the name of the file whose last entry is seq.
func rotated(path string, seq uint64) string { return fmt.Sprintf("%s.%012d", path, seq) }

// record is the record's files, open for reading, so that a rotation meanwhile changes nothing.
type record struct {
	names []string
	files []*os.File
	size  int64 // of the newest file when it was opened
}

// openRecord opens all files; a record that was never written has none.
func openRecord(path string) (*record, error) {
	r := &record{}
	names, err := files(path)
	for _, name := range names {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && name == path {
			continue // a crash between the rotation's two steps
		}
		if err != nil {
			return r, errors.Join(err, r.close())
		}
		r.names, r.files = append(r.names, filepath.Base(name)), append(r.files, f)
		info, err := f.Stat()
		if err != nil {
			return r, errors.Join(err, r.close())
		}
		r.size = info.Size()
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return r, err
}

func (r *record) close() error {
	var err error
	for _, f := range r.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// scan reads the record in order, as long as it was when it was opened, and hands out each entry. Torn is what stands after the last
// newline.
func (r *record) scan(ctx context.Context, each func(api.AuditEntry)) (c chain, torn []byte, err error) {
	for i, f := range r.files {
		if len(torn) > 0 {
			c.breaks(r.names[i-1] + ": it does not end in a whole line")
		}
		var in io.Reader = f
		if i == len(r.files)-1 {
			in = io.LimitReader(f, r.size)
		}
		if torn, err = scanFile(ctx, r.names[i], in, &c, each); err != nil {
			return c, nil, err
		}
	}
	return c, torn, nil
}

func scanFile(ctx context.Context, name string, from io.Reader, c *chain, each func(api.AuditEntry)) (torn []byte, err error) {
	in := bufio.NewReaderSize(from, 64<<10)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		line, whole, err := readLine(in)
		if err != nil || !whole {
			return line, err
		}
		if e, ok := c.follow(name, n, line); ok && each != nil {
			each(e)
		}
	}
}

// readLine gives one line without its newline, of which it keeps maxLine bytes; whole is false at the end of the file.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxLine-len(line))]...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}
