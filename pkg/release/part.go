package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrSpace says that the disk has no room for a download.
var ErrSpace = errors.New("no space left on the disk")

// reserve is what a download leaves free on the disk: the daemon's own state needs it. In bytes.
const reserve = 256 << 20

// part is a file on its way here: what there is of it, and what the server said of the whole. It is used by one goroutine.
type part struct {
	web  *Web
	path string // of the data; the notes are beside it
	room func(dir string) (int64, error)
	// progress, when not nil, hears what there is, and the size of the whole, -1 while that is not known. A failure that is
	// not the last is in trouble.
	progress func(done, total int64, trouble error)

	f     *os.File
	done  int64
	notes notes
	// resumed is set when data of an earlier connection was kept.
	resumed bool
	skipped bool // of this connection: the server said that what there is is all
}

// notes are what is kept beside the data, so that a later order goes on with the same file and no other.
type notes struct {
	URL      string `json:"url"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"last_modified,omitempty"`
	Size     int64  `json:"size"` // -1: not known
}

func notesPath(path string) string { return path + ".json" }

// fetch completes the file at address and gives it, open and at its beginning. What was fetched before is kept where the server
// can go on with it. On an error the file is closed, and its data stays for the next time, except when the disk is full: then
// all of it is removed, since the daemon needs the room. Errors match ErrSpace, ErrGone, or those of the network.
func (p *part) fetch(ctx context.Context, address string) (*os.File, error) {
	if err := p.open(address); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", address, err)
	}
	client := p.web.client()
	defer client.CloseIdleConnections()
	err := p.web.persist(ctx, func(err error) { p.tell(err) }, func() (bool, error) {
		before := p.done
		err := p.attempt(ctx, client, address)
		return p.done > before, err
	})
	if err == nil {
		err = p.f.Sync()
	}
	if err == nil {
		_, err = p.f.Seek(0, io.SeekStart)
	}
	if err != nil {
		err = errors.Join(full(err), p.f.Close())
		if errors.Is(err, ErrSpace) {
			err = errors.Join(err, p.remove())
		}
		return nil, fmt.Errorf("fetch %s: %w", address, err)
	}
	return p.f, nil
}

// full makes ErrSpace of what the kernel says.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrSpace, err)
	}
	return err
}

func (p *part) tell(trouble error) {
	if p.progress != nil {
		p.progress(p.done, p.notes.Size, trouble)
	}
}

// open takes what there is of the same file.
func (p *part) open(address string) error {
	f, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return full(err)
	}
	p.f = f
	b, err := os.ReadFile(notesPath(p.path))
	if err == nil {
		err = json.Unmarshal(b, &p.notes)
	}
	if err != nil || p.notes.URL != address {
		err = p.restart(notes{URL: address, Size: -1})
	} else if p.done, err = f.Seek(0, io.SeekEnd); p.done > 0 {
		p.resumed = true
	}
	if err != nil {
		return errors.Join(full(err), f.Close())
	}
	return nil
}

// restart forgets what there is.
func (p *part) restart(n notes) error {
	p.done, p.resumed, p.notes = 0, false, n
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return full(os.WriteFile(notesPath(p.path), b, 0o600)) // torn notes are no notes
}

// remove deletes data and notes.
func (p *part) remove() error {
	err := os.Remove(p.path)
	if e := os.Remove(notesPath(p.path)); err == nil && !errors.Is(e, os.ErrNotExist) {
		err = e
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// attempt is one request.
func (p *part) attempt(ctx context.Context, client *http.Client, address string) error {
	header := http.Header{}
	if p.done > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", p.done)) // RFC 9110, 14.2
		if v := p.validator(); v != "" {
			header.Set("If-Range", v)
		}
	}
	resp, err := p.web.get(ctx, client, address, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := p.accept(resp); err != nil {
		return err
	}
	if p.skipped {
		return nil
	}
	if err := p.fits(); err != nil {
		return err
	}
	p.tell(nil)
	if err := p.take(resp.Body); err != nil {
		return err
	}
	if p.notes.Size >= 0 && p.done < p.notes.Size {
		return fmt.Errorf("the connection ended after %d of %d bytes: %w", p.done, p.notes.Size, io.ErrUnexpectedEOF)
	}
	return nil
}

// validator is what If-Range takes: a strong entity tag, else a date (RFC 9110, 13.1.5).
func (p *part) validator() string {
	if p.notes.ETag != "" && !strings.HasPrefix(p.notes.ETag, "W/") {
		return p.notes.ETag
	}
	return p.notes.Modified
}

// accept sets the place from which the answer goes on. A server that ignores ranges, or has another file now, begins anew.
func (p *part) accept(resp *http.Response) error {
	p.skipped = false
	first, size := int64(0), resp.ContentLength
	switch resp.StatusCode {
	case http.StatusPartialContent:
		var err error
		if first, size, err = contentRange(resp.Header.Get("Content-Range")); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable:
		_, all, ok := strings.Cut(resp.Header.Get("Content-Range"), "*/")
		if n, err := strconv.ParseInt(all, 10, 64); ok && err == nil && n == p.done && p.done > 0 {
			p.skipped = true
			return nil
		}
		return errors.Join(errors.New("the server has less of the file than was fetched before"), p.restart(notes{URL: p.notes.URL, Size: -1}))
	}
	now := notes{URL: p.notes.URL, ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified"), Size: size}
	switch {
	case first == 0:
		return p.restart(now)
	case first != p.done:
		return fmt.Errorf("the server answers from byte %d, asked from %d", first, p.done)
	case p.notes.Size >= 0 && size >= 0 && p.notes.Size != size:
		return errors.Join(fmt.Errorf("the file had %d bytes, and has %d now", p.notes.Size, size), p.restart(notes{URL: p.notes.URL, Size: -1}))
	}
	p.notes.Size = max(p.notes.Size, size)
	return nil
}

// contentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, 14.4); size is -1 where the server does not know it.
func contentRange(header string) (first, size int64, err error) {
	spec, ok := strings.CutPrefix(header, "bytes ")
	from, all, slash := strings.Cut(spec, "/")
	begin, _, dash := strings.Cut(from, "-")
	first, err = strconv.ParseInt(begin, 10, 64)
	size = -1
	if err == nil && all != "*" {
		size, err = strconv.ParseInt(all, 10, 64)
	}
	if !ok || !slash || !dash || err != nil || first < 0 || size >= 0 && first > size {
		return 0, 0, fmt.Errorf("the server answers with range %q", header)
	}
	return first, size, nil
}

// fits checks, before anything is fetched, that the disk has room for the rest, and then for the image beside it.
func (p *part) fits() error {
	if p.room == nil || p.notes.Size < 0 {
		return nil
	}
	have, err := p.room(filepath.Dir(p.path))
	if err != nil {
		return err
	}
	if need := 2*p.notes.Size - p.done + reserve; have < need {
		return noRoom(have, need)
	}
	return nil
}

func noRoom(have, need int64) error {
	return fmt.Errorf("%w: %d bytes are free and %d needed, for the file, for the image made of it, and for the daemon", ErrSpace, have, need)
}

// take writes the body to the file.
func (p *part) take(from io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if p.notes.Size >= 0 && p.done+int64(n) > p.notes.Size {
				return fmt.Errorf("the server gives more than the %d bytes of the file", p.notes.Size)
			}
			k, werr := p.f.Write(buf[:n])
			p.done += int64(k)
			if werr != nil {
				return full(werr)
			}
			p.tell(nil)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// FreeSpace gives what the file system of a directory has free for this process, in bytes.
func FreeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}
