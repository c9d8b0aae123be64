package timeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/racker-project/racker/pkg/event"
)

// eventsFile has all events.
const eventsFile = "events.jsonl"

// noEvent is the first ID of a segment that has none.
const noEvent = math.MaxUint64

// segments are the parts of events.jsonl. They have numbers that grow, so that a reader knows its part after it was
// renamed.
type segments struct {
	file growing

	mu    sync.RWMutex // held for writing while the files change, for reading while they are read
	last  int          // number of the part that is written now
	first []uint64     // the first ID of each part, oldest first; the last of them is of part last
}

// openSegments repairs the newest part, and gives the newest events of all. It always gives segments: what is wrong
// with the files is the error.
func openSegments(file growing) (*segments, []event.Event, error) {
	s := &segments{file: file}
	kept, err := file.repair()
	for n := file.keep; n >= 0; n-- {
		id, ferr := firstID(file.part(n))
		if errors.Is(ferr, fs.ErrNotExist) && n > 0 {
			if len(s.first) > 0 { // a part in the middle was taken away: names must still tell numbers
				s.first = append(s.first, noEvent)
			}
			continue
		}
		if ferr != nil && !errors.Is(ferr, fs.ErrNotExist) {
			err = errors.Join(err, ferr)
		}
		s.first = append(s.first, id)
	}
	s.last = len(s.first) - 1
	for n := 1; n <= file.keep && len(kept) < event.Held; n++ {
		older, terr := lastEvents(file.part(n), 0)
		if terr != nil && !errors.Is(terr, fs.ErrNotExist) {
			err = errors.Join(err, terr)
		}
		if len(kept) > 0 {
			older = slices.DeleteFunc(older, func(e event.Event) bool { return e.ID >= kept[0].ID })
		}
		kept = append(older, kept...)
	}
	return s, kept[max(0, len(kept)-event.Held):], err
}

func firstID(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return noEvent, err
	}
	defer f.Close()
	b := make([]byte, maxLine+1)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return noEvent, fmt.Errorf("read %s: %w", path, err)
	}
	for l := range bytes.Lines(b[:n]) {
		if id, ok := lineID(l); ok {
			return id, nil
		}
	}
	return noEvent, nil
}

// lastEvents reads the end of a part: as many lines as limit says, all of it when that is zero.
func lastEvents(path string, limit int) ([]event.Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, _, err := tail(f, info.Size())
	for start := len(b); limit > 0 && start > 0; limit-- {
		if start = bytes.LastIndexByte(b[:start-1], '\n') + 1; limit == 1 {
			b = b[start:]
		}
	}
	return parse(b, 0), err
}

// append writes lines, the first of which has the ID.
func (s *segments) append(id uint64, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	turned, err := s.file.append(b)
	if turned {
		s.last++
		s.first = append(s.first, noEvent)
		s.first = s.first[max(0, len(s.first)-s.file.keep-1):]
	}
	if now := len(s.first) - 1; err == nil && s.first[now] == noEvent {
		s.first[now] = id
	}
	return err
}

// oldest is the first ID of all; noEvent where there is none.
func (s *segments) oldest() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Min(s.first)
}

// cursor is a place in the timeline. It is used by one goroutine.
type cursor struct {
	all *segments
	at  uint64 // ID of the event before

	f    *os.File // part that is read; nil before the first page and at the end
	part int      // its number
	off  int64
}

// chunk is how much is read at a time, in bytes; a line fits.
const chunk = 2 * maxLine

// read gives the next events on disk, with IDs above that of the place. None means that there are no more.
func (c *cursor) read() []event.Event {
	c.all.mu.RLock()
	defer c.all.mu.RUnlock()
	if c.f == nil && !c.find() {
		return nil
	}
	b := make([]byte, chunk)
	for {
		n, err := c.f.ReadAt(b, c.off)
		end := bytes.LastIndexByte(b[:n], '\n') + 1
		switch {
		case end > 0:
			c.off += int64(end)
			if out := parse(b[:end], c.at); len(out) > 0 {
				return out
			}
		case n == len(b): // no line of ours
			c.off += int64(n)
		case err != nil && !errors.Is(err, io.EOF), c.part >= c.all.last, !c.open(c.part + 1):
			return nil
		}
	}
}

// find opens the part that holds what follows the place.
func (c *cursor) find() bool {
	oldest := c.all.last - len(c.all.first) + 1
	at := oldest
	for i, first := range c.all.first {
		if first != noEvent && first <= c.at+1 {
			at = oldest + i
		}
	}
	return c.open(at)
}

// open goes on with a part, or the oldest when that went.
func (c *cursor) open(part int) bool {
	c.close()
	part = max(part, c.all.last-len(c.all.first)+1)
	f, err := os.Open(c.all.file.part(c.all.last - part))
	if err != nil {
		return false
	}
	c.f, c.part, c.off = f, part, 0
	return true
}

func (c *cursor) close() {
	if c.f != nil {
		c.f.Close()
		c.f = nil
	}
}
