package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// qmpTimeout bounds one command to QEMU's monitor, which answers from memory.
const qmpTimeout = 10 * time.Second

// errMonitorClosed is matched by errors of a monitor whose QEMU has gone.
var errMonitorClosed = errors.New("QEMU has closed its monitor")

// monitor speaks QEMU's machine protocol (QMP, docs/interop/qmp-spec.txt of QEMU) over one connection. Its methods may
// be called from several goroutines.
type monitor struct {
	conn net.Conn
	// events has the events that the supervisor acts on, in order; closed when the connection ends.
	events chan qmpEvent
	// closed is closed when the connection has ended and the reader is gone.
	closed chan struct{}

	mu      sync.Mutex // one command at a time
	answers chan qmpMessage
}

// qmpEvent is an event of interest.
type qmpEvent struct {
	Name string
	Data struct {
		Guest  bool   `json:"guest"`
		Reason string `json:"reason"` // of SHUTDOWN
		Offset int64  `json:"offset"` // of RTC_CHANGE, seconds
	}
}

type qmpMessage struct {
	Greeting json.RawMessage `json:"QMP"`
	Event    string          `json:"event"`
	Data     json.RawMessage `json:"data"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// newMonitor takes over conn and negotiates. Cancelling is by closing.
func newMonitor(conn net.Conn) (*monitor, error) {
	m := &monitor{
		conn:    conn,
		events:  make(chan qmpEvent, 64),
		closed:  make(chan struct{}),
		answers: make(chan qmpMessage, 1),
	}
	go m.read()
	if err := m.command("qmp_capabilities", nil, nil); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close ends the connection and waits for the reader.
func (m *monitor) Close() {
	m.conn.Close()
	for range m.events { // lets a reader go that waits for room
	}
	<-m.closed
}

// read sorts what QEMU says into answers and events.
func (m *monitor) read() {
	defer close(m.closed)
	defer close(m.events)
	dec := json.NewDecoder(m.conn)
	for {
		var msg qmpMessage
		if err := dec.Decode(&msg); err != nil {
			return
		}
		switch {
		case msg.Event == "SHUTDOWN" || msg.Event == "RTC_CHANGE":
			ev := qmpEvent{Name: msg.Event}
			if err := json.Unmarshal(msg.Data, &ev.Data); err != nil {
				return
			}
			m.events <- ev
		case msg.Return != nil || msg.Error != nil:
			select {
			case m.answers <- msg:
			default: // the answer to a command that was given up
			}
		}
	}
}

// command runs one command; result may be nil.
func (m *monitor) command(name string, args, result any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.answers: // late answer of a command that timed out
	default:
	}
	req := map[string]any{"execute": name}
	if args != nil {
		req["arguments"] = args
	}
	b, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("QEMU monitor: %s: %w", name, err)
	}
	if err := m.conn.SetWriteDeadline(time.Now().Add(qmpTimeout)); err != nil {
		return fmt.Errorf("QEMU monitor: %s: %w", name, err)
	}
	if _, err := m.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("QEMU monitor: %s: %w", name, errors.Join(errMonitorClosed, err))
	}
	timeout := time.NewTimer(qmpTimeout)
	defer timeout.Stop()
	select {
	case msg := <-m.answers:
		return msg.into(name, result)
	case <-m.closed:
		return fmt.Errorf("QEMU monitor: %s: %w", name, errMonitorClosed)
	case <-timeout.C:
		return fmt.Errorf("QEMU monitor: %s: no answer in %s", name, qmpTimeout)
	}
}

func (msg qmpMessage) into(name string, result any) error {
	if msg.Error != nil {
		return fmt.Errorf("QEMU monitor: %s: %s", name, msg.Error.Desc)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(msg.Return, result); err != nil {
		return fmt.Errorf("QEMU monitor: %s: %w", name, err)
	}
	return nil
}

// written gives the bytes that the guest has written to (or zeroed on) its disks since QEMU was started.
func (m *monitor) written() (int64, error) {
	var stats []struct {
		Device string `json:"device"`
		Stats  struct {
			Written int64 `json:"wr_bytes"`
		} `json:"stats"`
	}
	if err := m.command("query-blockstats", nil, &stats); err != nil {
		return 0, err
	}
	var sum int64
	for _, s := range stats {
		if len(s.Device) > len(diskPrefix) && s.Device[:len(diskPrefix)] == diskPrefix {
			sum += s.Stats.Written
		}
	}
	return sum, nil
}

// quiet reports whether err only says that QEMU is gone.
func quiet(err error) bool {
	return errors.Is(err, errMonitorClosed) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}
