package fleet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// node is one fake server: its power, its disk, and what it has counted. Its methods may be called from any goroutine.
type node struct {
	fleet *Fleet
	row   *rack.Node
	hw    Server
	// nics are the NIC of the row, and the one of the fault other-nic.
	nics [2]*port
	log  *slog.Logger
	bmc  *vbmc.BMC // nil for a row without one
	// bmcPort is its NIC, nil for a BMC in a network of its own.
	bmcPort *port

	mu     sync.Mutex
	on     bool
	state  sim.State
	boots  int
	writes int // how often a write of the disk began
	bytes  int64
	count  sim.FleetStatus
	faults sim.Faults
	disk   disk
	port   *port    // the NIC that it has now
	now    *session // of the present or the last boot
}

// session is the life of a server from power-on, or a reset, to the next.
type session struct {
	node  *node
	port  *port
	lines lines
	cut   context.CancelFunc
	done  chan struct{}
}

// errUnknownOrder is matched by orders that are none.
var errUnknownOrder = errors.New("want on, off, reset or soft")

// Order implements sim.Controlled: the server's own buttons, past its BMC.
func (n *node) Order(do sim.PowerOrder) error {
	switch do {
	case sim.OrderOn:
		n.power(true, false)
	case sim.OrderOff:
		n.power(false, false)
	case sim.OrderReset:
		n.reset(false)
	case sim.OrderSoft:
		n.soft(false)
	default:
		return fmt.Errorf("power order %q: %w", do, errUnknownOrder)
	}
	return nil
}

// PowerState implements vbmc.Host.
func (n *node) PowerState() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.on
}

// SetPower implements vbmc.Host.
func (n *node) SetPower(on bool) error {
	n.power(on, true)
	return nil
}

// Reset implements vbmc.Host.
func (n *node) Reset() error {
	n.reset(true)
	return nil
}

// SoftOff implements vbmc.Host.
func (n *node) SoftOff() { n.soft(true) }

// power switches on or off; a state that is there already changes nothing.
func (n *node) power(on, byBMC bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case on == n.on:
	case on:
		n.on = true
		if !n.faults.NoPower {
			n.start()
		}
	default:
		n.lose(byBMC)
		n.on, n.state = false, sim.StateOff
		n.count.Said = ""
	}
}

// reset starts a server anew that is on.
func (n *node) reset(byBMC bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on {
		return
	}
	n.lose(byBMC)
	n.state = sim.StateOff
	if !n.faults.NoPower {
		n.start()
	}
}

// soft presses the power button: an installed system shuts down, anything else takes no notice.
func (n *node) soft(byBMC bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != sim.StateBooted && n.state != sim.StateReady {
		return
	}
	now := n.now
	n.fleet.work(func(ctx context.Context) {
		if rest(ctx, n.hw.Shutdown) != nil {
			return
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.now == now && n.on {
			n.lose(byBMC)
			n.on, n.state = false, sim.StateOff
		}
	})
}

// lose takes the power of what runs, and counts it. The caller holds the lock.
func (n *node) lose(byBMC bool) {
	if byBMC {
		n.count.PowerOffs++
		if n.writes > 0 {
			n.count.OffsAfterWrite++
		}
		if n.state == sim.StateWriting {
			n.count.OffsWhileWriting++
		}
	}
	n.port.configure(noAddress()) // first: from here on it is silent
	if n.now != nil {
		n.now.cut()
		n.now.lines.drop()
	}
}

// start begins a boot. The caller holds the lock.
func (n *node) start() {
	before := n.now
	n.port = n.nics[0]
	if n.faults.OtherNIC {
		n.port = n.nics[1]
	}
	s := &session{node: n, port: n.port, done: make(chan struct{})}
	n.now = s
	n.boots++
	n.state = sim.StateFirmware
	cut, cancel := context.WithCancel(context.Background())
	s.cut = cancel
	n.fleet.work(func(ctx context.Context) {
		defer close(s.done)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(cut, cancel)()
		if before != nil {
			<-before.done
		}
		s.run(ctx)
	})
}

// again notes that a server reboots by itself.
func (s *session) again() {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now != s {
		return // its power went in the same moment
	}
	n.boots++
	n.count.Reboots++
	if n.state == sim.StateWriting {
		n.count.RebootsWhileWriting++
	}
	n.state = sim.StateFirmware
}

// become notes a state, unless the server's power went.
func (s *session) become(state sim.State) {
	s.note(func(n *node) { n.state = state })
}

// say notes what the server shows.
func (s *session) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.note(func(n *node) { n.count.Said = strings.TrimSpace(text[:min(len(text), maxSaid)]) })
	s.node.log.Debug("said", "line", text)
}

// maxSaid bounds a line that is kept.
const maxSaid = 400

// note changes what is known of the server, unless its power went.
func (s *session) note(change func(*node)) {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	if s.node.now == s && s.node.on {
		change(s.node)
	}
}

// fault gives the faults that are set now.
func (s *session) fault() sim.Faults {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	return s.node.faults
}

// hang waits for the end of power.
func (s *session) hang(ctx context.Context, why string) {
	s.say("%s", why)
	<-ctx.Done()
}

// SetFaults implements sim.Controlled.
func (n *node) SetFaults(f sim.Faults) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
	for _, p := range n.nics {
		p.pulled.Store(f.Unplugged)
	}
	if n.bmc == nil {
		return nil
	}
	n.bmc.SetFaults(f.OfBMC())
	password := n.hw.password
	if f.BMCPassword {
		password = "not-" + password[:min(len(password), maxWrong)]
	}
	return n.bmc.SetPassword(password)
}

// maxWrong keeps a wrong password below the 20 bytes of IPMI.
const maxWrong = 16

// Status implements sim.Controlled.
func (n *node) Status() sim.NodeStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := n.count
	if ip := n.port.address(); ip.IsValid() {
		count.Address = ip.String()
	}
	for _, w := range sim.FaultWords() {
		if *w.Field(&n.faults) {
			count.Faults = append(count.Faults, w.Word)
		}
	}
	st := sim.NodeStatus{
		Name: n.row.Name, MAC: n.row.Primary.String(), Power: "off", Boots: n.boots, Installs: n.writes, State: n.state,
		Firmware: n.hw.Firmware, WrittenBytes: n.bytes, Fleet: &count,
	}
	if n.on {
		st.Power = "on"
	}
	if n.bmc != nil {
		if a := n.bmc.Addr(); a.IsValid() {
			st.BMCAddress = a.Addr().String()
		}
	}
	return st
}

// uuid gives each server an identity of its own that stays, as its SMBIOS has it.
func (n *node) uuid() (id [16]byte) {
	sum := sha256.Sum256(append([]byte("racker fake server "), n.row.Primary[:]...))
	copy(id[:], sum[:])
	return id
}

// uuidText prints it as dmidecode does: the first three fields are little-endian (DSP0134 7.2.1).
func uuidText(u [16]byte) string {
	return fmt.Sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%x-%x", u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8:10], u[10:16])
}

// pause lets time pass that a machine of this kind takes.
func (s *session) pause(ctx context.Context, d time.Duration) error {
	return rest(ctx, s.node.fleet.scaled(d))
}
