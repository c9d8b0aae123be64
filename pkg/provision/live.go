package provision

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/rack"
)

// maxEvidence is how many facts a node's timeline holds in memory.
const maxEvidence = 200

// live is what is known of a node but not worth a place in the store.
type live struct {
	heard    time.Time // of the agent, last
	moved    time.Time // progress or a transition, last
	progress *api.Progress
	power    api.Power
	reached  bool
	bmcError string // why it was not reached
	evidence []api.Evidence
}

// note adds a fact to a node's timeline and publishes it.
func (m *Machine) note(mac rack.MAC, e event.Event) {
	now := time.Now().UTC()
	e.Node, e.Message = mac.String(), sentence(e.Message)
	m.mu.Lock()
	if l := m.live[mac]; l != nil {
		l.evidence = append(l.evidence, api.Evidence{Time: now, Kind: string(e.Kind), Text: e.Message})
		if over := len(l.evidence) - maxEvidence; over > 0 {
			l.evidence = append([]api.Evidence(nil), l.evidence[over:]...)
		}
	}
	m.mu.Unlock()
	m.needs.Events.Publish(e)
}

// Note adds a fact that a server of this process saw, such as a DHCP packet or a file served.
func (m *Machine) Note(mac rack.MAC, e event.Event) { m.note(mac, e) }

// NodeAt gives the primary MAC of the server that an address belongs to.
func (m *Machine) NodeAt(a func(*rack.Plan) (rack.Assignment, bool)) (rack.MAC, bool) {
	as, ok := a(m.Plan())
	return as.MAC, ok
}

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
