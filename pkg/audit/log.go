package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// Defaults of Options.
const (
	DefaultMaxSize = 8 << 20
	DefaultLast    = 20_000
)

// RepairOrder is the order of the entry that notes a torn line.
const RepairOrder = "(a torn line was cut off)"

// fileMode lets the group of the state directory read the record.
const fileMode = 0o640

// ErrClosed is matched by Append after Close.
var ErrClosed = errors.New("audit is closed")

// Options of Open. The zero value is usable.
type Options struct {
	// MaxSize is the size in bytes from which on the file is rotated; 0 means 8 MiB.
	MaxSize int64
	// Last is how many entries View gives at most, the newest; 0 means 20,000.
	Last int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Log is the record, open for appending. One process at a time may hold it. Its methods may be called concurrently.
type Log struct {
	path string
	opt  Options

	mu   sync.Mutex
	file *os.File // nil once it is closed
	torn int64    // where a line begins that was not written to its end; -1 for none
	head chain
}

// Open opens the record at path, creating the file (mode 0640) and its folder (mode 0750) where they are missing. A last line
// that a crash tore is cut off, which an entry of its own notes. A chain that is broken is no error: View says where.
func Open(ctx context.Context, path string, opt Options) (*Log, error) {
	if opt.MaxSize <= 0 {
		opt.MaxSize = DefaultMaxSize
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	l := &Log{path: path, opt: opt, torn: -1}
	if err := l.open(ctx); err != nil {
		return nil, fmt.Errorf("open audit %s: %w", path, err)
	}
	return l, nil
}

func (l *Log) open(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o750); err != nil {
		return err
	}
	r, err := openRecord(l.path)
	if err != nil {
		return err
	}
	head, torn, err := r.scan(ctx, nil)
	if err = errors.Join(err, r.close()); err != nil {
		return err
	}
	l.head = head
	if err := l.create(); err != nil {
		return err
	}
	if len(torn) == 0 {
		return nil
	}
	size, err := l.size()
	if err != nil {
		return err
	}
	l.torn = size - int64(len(torn))
	_, err = l.append(api.AuditEntry{UID: os.Geteuid(), Order: RepairOrder, Result: tornText(torn)})
	if err != nil {
		return errors.Join(err, l.file.Close())
	}
	return nil
}

// tornText quotes as much of a torn line as an entry should hold.
func tornText(torn []byte) string {
	const enough = 400
	return fmt.Sprintf("%d bytes of a line that was not written to its end: %q", len(torn), torn[:min(enough, len(torn))])
}

// create opens the newest file, or makes it, durably.
func (l *Log) create() error {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err == nil && info.Size() == 0 {
		err = syncDir(filepath.Dir(l.path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file = f
	return nil
}

// Append gives the entry its Seq, Time (where it has none), Prev and Hash, and writes it. When it returns without an error,
// the entry survives a crash. After an error nothing of the entry is in the record, and the next may be tried.
func (l *Log) Append(e api.AuditEntry) (api.AuditEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return e, fmt.Errorf("audit: %w", ErrClosed)
	}
	e, err := l.append(e)
	if err != nil {
		return e, fmt.Errorf("audit %s: %w", l.path, err)
	}
	return e, nil
}

func (l *Log) append(e api.AuditEntry) (api.AuditEntry, error) {
	if err := l.ready(); err != nil {
		return e, err
	}
	if e.Time.IsZero() {
		e.Time = l.opt.Now()
	}
	e.Time = e.Time.UTC().Round(0) // without the monotonic clock, as it reads back
	e.Seq, e.Prev = l.head.seq+1, l.head.hash
	e, line, err := seal(e)
	if err != nil {
		return e, err
	}
	if err := l.write(line); err != nil {
		return e, err
	}
	l.head.seq, l.head.hash = e.Seq, e.Hash
	return e, nil
}

// ready makes sure that the open file is the one at the path, and rotates it when it is full.
func (l *Log) ready() error {
	have, err := l.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(l.path)
	switch {
	case err == nil && os.SameFile(have, there):
		if have.Size() >= l.opt.MaxSize && l.torn < 0 {
			return l.rotate()
		}
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	gone := l.file // somebody removed it or put another in its place: orders go where they will be found
	if err := l.create(); err != nil {
		l.file = gone
		return err
	}
	l.torn = -1
	return gone.Close()
}

func (l *Log) size() (int64, error) {
	info, err := l.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// write puts the line at the end, in the place of what a failed write or a crash left there.
func (l *Log) write(line []byte) error {
	end, err := l.size()
	if err != nil {
		return err
	}
	if l.torn >= 0 {
		end = l.torn
		if err := l.file.Truncate(end); err != nil {
			return err
		}
	}
	l.torn = end
	if _, err = l.file.WriteAt(line, end); err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		if l.file.Truncate(end) == nil {
			l.torn = -1
		}
		return err
	}
	l.torn = -1
	return nil
}

// rotate gives the full file the number of its last entry and begins the next.
func (l *Log) rotate() error {
	full, name := l.file, rotated(l.path, l.head.seq)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("rotate: %s is in the way", name), err)
	}
	if err := os.Rename(l.path, name); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	if err := l.create(); err != nil {
		return errors.Join(fmt.Errorf("rotate: %w", err), os.Rename(name, l.path))
	}
	return full.Close()
}

// View checks the whole record and gives its newest entries, Options.Last at most, oldest first. Broken says where the chain
// does not hold.
func (l *Log) View(ctx context.Context) (api.AuditView, error) {
	l.mu.Lock()
	head, closed := l.head, l.file == nil
	r, err := openRecord(l.path) // it ends in a whole line as long as we have the lock
	l.mu.Unlock()
	if closed {
		err = errors.Join(ErrClosed, r.close())
	}
	if err != nil {
		return api.AuditView{}, fmt.Errorf("read audit %s: %w", l.path, err)
	}
	return r.view(ctx, l.path, l.opt.Last, &head)
}

// Close closes the file. Closing twice is no error.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// syncDir makes what was created or renamed in a folder survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
