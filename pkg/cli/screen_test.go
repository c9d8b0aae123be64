package cli

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
)

// screen is a terminal that a test looks at while it is written.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	more *sync.Cond
	shut bool
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	s := &screen{}
	s.more = sync.NewCond(&s.mu)
	stop := context.AfterFunc(t.Context(), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.shut = true
		s.more.Broadcast()
	})
	t.Cleanup(func() { stop() })
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more.Broadcast()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until text was written n times; false when the test is over.
func (s *screen) await(text string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for strings.Count(s.text.String(), text) < n && !s.shut {
		s.more.Wait()
	}
	return !s.shut
}

// typist types each line once the screen shows its prompt one more time; then the terminal is gone, or silent.
type typist struct {
	s       *screen
	prompts []string
	lines   []string
	seen    map[string]int
	gone    bool
}

func (y *typist) Read(p []byte) (int, error) {
	if len(y.lines) == 0 {
		if !y.gone {
			y.s.await("this is never written", 1)
		}
		return 0, io.EOF
	}
	if y.seen == nil {
		y.seen = map[string]int{}
	}
	y.seen[y.prompts[0]]++
	if !y.s.await(y.prompts[0], y.seen[y.prompts[0]]) {
		return 0, io.EOF
	}
	n := copy(p, y.lines[0]+"\n")
	y.prompts, y.lines = y.prompts[1:], y.lines[1:]
	return n, nil
}
