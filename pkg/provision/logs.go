package provision

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// nodeLogs appends to one log file per node.
type nodeLogs struct {
	dir string
	mu  sync.Mutex
}

// maxLog is the size at which a node's log is rotated, in bytes.
const maxLog = 4 << 20

func (l *nodeLogs) path(name string) string { return filepath.Join(l.dir, filepath.Base(name)+".log") }

func (l *nodeLogs) append(name string, lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	lines = logLines(lines)
	l.mu.Lock()
	defer l.mu.Unlock()
	path := l.path(name)
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return fmt.Errorf("rotate the log of %s: %w", name, err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("log of %s: %w", name, err)
	}
	if _, err = f.Write(lines); err == nil && lines[len(lines)-1] != '\n' {
		_, err = f.Write([]byte{'\n'})
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("log of %s: %w", name, err)
	}
	return nil
}

// tail gives the last bytes of a node's log, from the start of a line.
func (l *nodeLogs) tail(name string, limit int64) string {
	f, err := os.Open(l.path(name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // read only
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	off := max(0, info.Size()-limit)
	b := make([]byte, info.Size()-off)
	n, _ := f.ReadAt(b, off) // what was read is what there is
	b = b[:n]
	if off > 0 {
		for i, c := range b {
			if c == '\n' {
				return string(b[i+1:])
			}
		}
	}
	return string(b)
}
