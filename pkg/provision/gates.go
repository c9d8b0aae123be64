package provision

import (
	"context"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

// pace spreads power-ons over time, so that a rack's supply does not see them all at once.
type pace struct {
	interval time.Duration // between two power-ons; 0 for none

	mu   sync.Mutex
	next time.Time
}

// turn takes the turn when there is one now, and gives 0. Else it gives how long to wait before asking again: nothing is
// reserved for who may not come.
func (p *pace) turn(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.next) {
		return p.next.Sub(now)
	}
	p.next = now.Add(p.interval)
	return 0
}

// streams bounds how many nodes read an image at a time. Those that wait are served in the order in which they asked.
type streams struct {
	limit int // 0 for none

	mu    sync.Mutex
	held  map[rack.MAC]bool
	queue []rack.MAC
	freed signal
}

func newStreams(limit int) *streams { return &streams{limit: limit, held: map[rack.MAC]bool{}} }

// take gives a node a stream, whatever the limit: it reads already.
func (s *streams) take(mac rack.MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[mac] = true
}

// ask gives the node a stream if there is one for it. Else it stands in the queue, and asks again when the channel is
// closed.
func (s *streams) ask(mac rack.MAC) (ok bool, again <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[mac] {
		return true, nil
	}
	at := len(s.queue)
	for i, waits := range s.queue {
		if waits == mac {
			at = i
		}
	}
	if s.limit == 0 || at < s.limit-len(s.held) {
		if at < len(s.queue) {
			s.queue = append(s.queue[:at], s.queue[at+1:]...)
		}
		s.held[mac] = true
		return true, nil
	}
	if at == len(s.queue) {
		s.queue = append(s.queue, mac)
	}
	return false, s.freed.next()
}

// release gives a node's stream, or its place in the queue, back.
func (s *streams) release(mac rack.MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, had := s.held[mac]
	delete(s.held, mac)
	for i, waits := range s.queue {
		if waits == mac {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			had = true
			break
		}
	}
	if had {
		s.freed.fire()
	}
}

// pause waits, and reports whether there is time for another attempt.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
