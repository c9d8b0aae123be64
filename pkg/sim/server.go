package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

// lookEvery is how often a server's console and disk counters are read.
const lookEvery = 250 * time.Millisecond

// errStopped is returned for orders to a server whose supervisor is ending.
var errStopped = errors.New("the simulated rack is stopping")

// PowerOrder is what a BMC or a person may order.
type PowerOrder string

// Orders.
const (
	OrderOn    PowerOrder = "on"
	OrderOff   PowerOrder = "off"   // at once
	OrderReset PowerOrder = "reset" // keeps power on; nothing when it is off
	OrderSoft  PowerOrder = "soft"  // presses the ACPI power button

	orderCable PowerOrder = "cable" // SetFaults has changed the cable
)

// controller is the part of a BMC that a server's own hardware talks to.
type controller interface {
	// BootFirst tells what the firmware shall try first at this start, OrderNetwork or OrderDisk; "" is its own order.
	// It uses up a choice made for one boot only.
	BootFirst() string
	// ServeInBand speaks to the server's own IPMI device until conn ends.
	ServeInBand(ctx context.Context, conn net.Conn) error
	// status adds what is known about the BMC.
	status(st *NodeStatus)
}

// server is one simulated machine. Its methods may be called from any goroutine; run is the only one that touches QEMU.
type server struct {
	node *rack.Node
	hw   Machine
	dir  string
	net  *Network
	port string // prefix of its switch ports
	bmc  controller
	log  *slog.Logger

	orders  chan order
	stopped chan struct{}

	mu   sync.Mutex
	seen observer
	on   bool
	// unplugged is a fault: no cable on the primary NIC.
	unplugged bool

	// Of run only.
	proc   *qemu
	serve  sync.WaitGroup // the in-band service
	serial *os.File
	// The battery-backed clock's distance from the host's: now, and when this QEMU was started.
	skew, startSkew time.Duration
}

type order struct {
	do   PowerOrder
	done chan error
}

// newServer prepares the machine's folder, disks and firmware variables. bmc is nil for a row without a BMC.
func newServer(n *rack.Node, hw Machine, dir string, cables *Network, port string, log *slog.Logger) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder of %s: %w", n.Name, err)
	}
	for i, d := range hw.Disks {
		if err := makeDisk(filepath.Join(dir, diskFile(i)), d); err != nil {
			return nil, fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	if hw.Firmware == FirmwareUEFI {
		if err := copyNew(ovmfVars, filepath.Join(dir, varsFile)); err != nil {
			return nil, fmt.Errorf("%s: UEFI variables (package ovmf): %w", n.Name, err)
		}
	}
	// Each supervisor begins a new console log; the one of the last is kept.
	name := filepath.Join(dir, serialLog)
	if err := os.Rename(name, name+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	serial, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	s := &server{
		node: n, hw: hw, dir: dir, net: cables, port: port, log: log.With("node", n.Name), serial: serial,
		orders: make(chan order), stopped: make(chan struct{}),
	}
	s.seen.off()
	if !hw.RTC.IsZero() {
		s.skew = time.Until(hw.RTC)
	}
	return s, nil
}

// Order carries out an order and returns when it is done.
func (s *server) Order(do PowerOrder) error {
	o := order{do: do, done: make(chan error, 1)}
	select {
	case s.orders <- o:
	case <-s.stopped:
		return errStopped
	}
	select {
	case err := <-o.done:
		return err
	case <-s.stopped:
		return errStopped
	}
}

// On reports whether the server has power.
func (s *server) On() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// Status gives what is known about the server now.
func (s *server) Status() NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := NodeStatus{
		Name: s.node.Name, MAC: s.node.Primary.String(), Power: "off", Boots: s.seen.Boots, Installs: s.seen.Installs,
		State: s.seen.State, Firmware: s.hw.Firmware, WrittenBytes: s.seen.Writes,
	}
	if s.on {
		st.Power = "on"
	}
	if s.bmc != nil {
		s.bmc.status(&st)
	}
	return st
}

// run owns the machine until ctx is done; then the machine is off.
func (s *server) run(ctx context.Context) error {
	defer s.serial.Close()
	defer s.serve.Wait() // an order that it waits for is refused from now on
	defer close(s.stopped)
	defer s.powerOff()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var events <-chan qmpEvent
		if s.proc != nil {
			events = s.proc.monitor.events
		}
		select {
		case <-ctx.Done():
			return nil
		case o := <-s.orders:
			o.done <- s.obey(ctx, o.do)
		case ev, open := <-events:
			s.event(ctx, ev, open)
		case <-tick.C:
			s.look()
		}
	}
}

func (s *server) obey(ctx context.Context, do PowerOrder) error {
	switch on := s.proc != nil; {
	case do == OrderOn && !on:
		return s.powerOn(ctx)
	case do == OrderOff && on:
		s.powerOff()
	case do == OrderReset && on:
		return s.restart(ctx)
	case do == OrderSoft && on:
		return s.proc.monitor.command("system_powerdown", nil, nil)
	case do == orderCable && on:
		return s.cable()
	case !slices.Contains([]PowerOrder{OrderOn, OrderOff, OrderReset, OrderSoft, orderCable}, do):
		return fmt.Errorf("power order %q: want on, off, reset or soft", do)
	}
	return nil
}

// event reacts to QEMU. open is false when QEMU has gone by itself.
func (s *server) event(ctx context.Context, ev qmpEvent, open bool) {
	switch {
	case !open:
		s.log.Error("QEMU ended unexpectedly", "err", s.proc.fail())
		s.powerOff()
	case ev.Name == "RTC_CHANGE":
		// The offset counts from what the clock would say now had nobody set it since the start.
		s.skew = s.startSkew + time.Duration(ev.Data.Offset)*time.Second
	case ev.Data.Reason == "guest-reset":
		if err := s.restart(ctx); err != nil {
			s.log.Error("reset", "err", err)
		}
	default: // guest-shutdown, guest-panic
		s.log.Info("guest switched power off", "state", ev.Data.Reason)
		s.powerOff()
	}
}

// restart is a reset: another QEMU, since only a new one reads the boot device again. Seen from outside, power stays on.
func (s *server) restart(ctx context.Context) error {
	s.halt()
	err := s.powerOn(ctx)
	if err != nil {
		s.powerOff()
	}
	return err
}

// powerOff ends QEMU, if there is one.
func (s *server) powerOff() {
	s.halt()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = false
	s.seen.off()
}

// halt ends QEMU and takes a last look at what it did.
func (s *server) halt() {
	if s.proc == nil {
		return
	}
	s.look()
	s.proc.stop()
	if s.proc.inBand != nil {
		s.proc.inBand.Close()
	}
	s.proc = nil
	s.readConsole()
}

// look brings the observer up to date.
func (s *server) look() {
	if s.proc == nil {
		return
	}
	s.readConsole()
	n, err := s.proc.monitor.written()
	if err != nil {
		if !quiet(err) {
			s.log.Warn("read disk counters", "err", err)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.written(n)
}

func (s *server) readConsole() {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.serial.Read(buf)
		s.mu.Lock()
		s.seen.console(buf[:n])
		s.mu.Unlock()
		if err != nil || n == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				s.log.Warn("read console log", "err", err)
			}
			return
		}
	}
}
