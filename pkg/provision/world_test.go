package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/image/profile"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

var (
	errSilent  = errors.New("BMC did not answer")
	errRefused = errors.New("BMC refused the user")
)

// world is a rack of servers that live in this process: they speak to the machine by its methods, as the servers of
// other packages do for real ones, and boot, install and call back on their own when their BMC switches them on.
type world struct {
	audit   keptAudit
	t       *testing.T
	dir     string
	csv     string
	library *image.Library
	image   *image.Manifest
	bus     *event.Bus

	// mortal puts what may end the daemon's life around its store and its BMCs; nil for a daemon that lives.
	mortal func(store.Store, BMCs) (store.Store, BMCs)

	// remote is how the machine reaches installed systems.
	remote *remoteWorld

	// onWrite is called, with the lock held, whenever a write begins; nil for nothing.
	onWrite func()

	mu      sync.Mutex
	plan    *rack.Plan // no address moves when rows go
	machine *Machine
	store   store.Store
	life    context.Context // of the machine
	stop    context.CancelFunc
	ended   chan error
	servers map[rack.MAC]*server
	running sync.WaitGroup
}

// server is one machine of the world.
type server struct {
	w         *world
	primary   rack.MAC
	bmc       string // as the in-band BMC says
	clock     time.Time
	on        bool
	stopBoot  context.CancelFunc
	dark      chan struct{} // closed when the last boot has ended
	powerOffs int
	softOffs  int
	// microkernels counts boots into it.
	microkernels int
	cut          int  // power-offs after its first write began
	deafACPI     bool // its system does not shut down when asked
	writes       int
	bmcErr       error
	failWrite    int                   // how many writes fail
	found        func(*api.DiskResult) // changes what its agent finds to erase; called with the lock held
	plain        bool                  // the image takes no Ignition
	mute         bool                  // the installed system never calls back
	absent       bool                  // it never asks for anything once it is on
	// silentBoot makes its installed system ask for no address.
	silentBoot bool
}

const twoRows = `Primary MAC address,BMC MAC address,Secondary MAC address,Node Type,Comments
52:54:00:00:00:01,52:54:00:00:01:01,52:54:00:00:02:01,,management
52:54:00:00:00:02,52:54:00:00:01:02,,,
52:54:00:00:00:03,52:54:00:00:01:03,,,
`

func mac(last byte) rack.MAC { return rack.MAC{0x52, 0x54, 0, 0, 0, last} }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), csv: twoRows, bus: event.NewBus(), servers: map[rack.MAC]*server{}}
	var err error
	if w.library, err = image.Open(filepath.Join(w.dir, "images"), image.WithProfiles(profiles(t))); err != nil {
		t.Fatal(err)
	}
	raw := bytes.Repeat([]byte{1, 2, 3, 4}, 64<<10)
	if w.image, err = w.library.Add(t.Context(), bytes.NewReader(raw), image.AddOptions{Name: "os", Profile: profile.TestOS}); err != nil {
		t.Fatal(err)
	}
	for _, last := range []byte{2, 3} {
		w.servers[mac(last)] = &server{w: w, primary: mac(last), bmc: rack.MAC{0x52, 0x54, 0, 0, 1, last}.String(), clock: time.Now()}
	}
	w.remote = &remoteWorld{w: w, nodes: map[rack.MAC]*sshNode{}}
	t.Cleanup(w.kill)
	return w
}

func (w *world) addImage(name string) *image.Manifest {
	w.t.Helper()
	man, err := w.library.Add(w.t.Context(), strings.NewReader(strings.Repeat(name, 64*image.SectorSize)), image.AddOptions{Name: name, Profile: profile.TestOS})
	if err != nil {
		w.t.Fatal(err)
	}
	return man
}

// profiles are those that ship with racker.
func profiles(t *testing.T) func() image.Profiles {
	t.Helper()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return func() image.Profiles { return set }
}

// Load implements Metadata.
func (w *world) Load(_ context.Context, moved map[rack.MAC]rack.MAC) (*rack.Rack, *rack.Plan, error) {
	r, err := rack.ReadCSV(strings.NewReader(w.csv), "nodes.csv", rack.ReadOptions{ManagementMAC: mac(1)})
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := rack.MakePlan(netip.MustParsePrefix("172.24.213.0/24"), r, w.plan.Moved(r, moved))
	if err == nil {
		w.plan = p
		p.Apply(r)
	}
	return r, p, err
}

// start opens the store and runs a machine over it, as the daemon does.
func (w *world) start(tune func(*Config)) *Machine {
	w.t.Helper()
	st, err := store.Open(filepath.Join(w.dir, "racker.db"), store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := Config{
		Server: netip.MustParseAddr("172.24.213.1"), HTTPPort: 8080, HTTPSPort: 8443, Pin: strings.Repeat("0", 64),
		Microkernel: func() (Microkernel, error) { return Microkernel{ID: "k", Kernel: "m/k", Initrd: "m/i"}, nil },
		LogDir:      w.dir,
		Deadlines: Deadlines{
			CheckBMC: time.Minute, Power: time.Minute, Netboot: time.Minute, Agent: time.Minute, Disks: time.Minute, Stalled: time.Minute, Boot: time.Minute,
		},
	}
	if tune != nil {
		tune(&cfg)
	}
	ctx, stop := context.WithCancel(context.Background())
	var bmcs BMCs = w
	open := st
	if w.mortal != nil {
		st, bmcs = w.mortal(st, w)
	}
	m, err := New(ctx, cfg, st, Needs{
		BMCs: bmcs, Images: w.library, Neighbours: w, Render: render, Events: w.bus, Metadata: w, Remote: w.remote, Updates: w.remote, Audit: &w.audit,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.machine, w.store, w.life, w.stop, w.ended = m, open, ctx, stop, make(chan error, 1)
	ended := w.ended
	w.mu.Unlock()
	go func() { ended <- m.Run(ctx) }()
	return m
}

func render(_ context.Context, n NodeConfig) ([]byte, error) {
	text := n.HostName + " " + n.CallbackURL + " " + n.CallbackToken
	if n.Declared != nil {
		for _, b := range n.Declared.Butane {
			if b.Butane == "bad" {
				return nil, errors.New(b.Name + " line 1: bad")
			}
			text += " " + b.Butane
		}
	}
	return []byte(text), nil
}

// kill ends the machine and the store; servers go on.
func (w *world) kill() {
	w.mu.Lock()
	stop, ended, st := w.stop, w.ended, w.store
	w.machine, w.stop = nil, nil
	w.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, errDead) {
		w.t.Errorf("machine: %v", err)
	}
	if err := st.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) at() *Machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.machine
}

func (w *world) addr(last byte) netip.Addr { return netip.AddrFrom4([4]byte{172, 24, 213, last}) }

// Neighbour implements Neighbours: servers have the addresses of their last byte.
func (w *world) Neighbour(_ context.Context, a netip.Addr) (rack.MAC, error) {
	return mac(a.As4()[3]), nil
}

func (w *world) server(n *rack.Node) *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[n.Primary]
}

// Power implements BMCs.
func (w *world) Power(_ context.Context, n *rack.Node, _ netip.Addr) (api.Power, error) {
	s := w.server(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.bmcErr != nil {
		return api.PowerUnknown, fmt.Errorf("%s: %w", n.Where(), s.bmcErr)
	}
	if s.on {
		return api.PowerOn, nil
	}
	return api.PowerOff, nil
}

// SetPower implements BMCs.
func (w *world) SetPower(_ context.Context, n *rack.Node, _ netip.Addr, on bool) error {
	s := w.server(n)
	w.mu.Lock()
	if s.on == on || s.bmcErr != nil {
		defer w.mu.Unlock()
		return s.bmcErr
	}
	s.on = on
	if on {
		s.boot()
	} else {
		s.powerOffs++
		if s.writes > 0 {
			s.cut++
		}
		s.stopBoot()
	}
	dark := s.dark
	w.mu.Unlock()
	if !on && dark != nil {
		<-dark
	}
	return nil
}

// SoftOff implements BMCs.
func (w *world) SoftOff(ctx context.Context, n *rack.Node, a netip.Addr) error {
	s := w.server(n)
	w.mu.Lock()
	s.softOffs++
	deaf := s.deafACPI
	w.mu.Unlock()
	if deaf {
		return errors.New("it reads on")
	}
	return w.SetPower(ctx, n, a, false)
}

// boot starts the server's firmware; the caller holds the lock.
func (s *server) boot() {
	ctx, cancel := context.WithCancel(s.w.t.Context())
	dark := make(chan struct{})
	s.stopBoot, s.dark = cancel, dark
	s.w.running.Go(func() {
		defer close(dark)
		s.life(ctx)
	})
}

// SetBoot implements BMCs.
func (w *world) SetBoot(context.Context, *rack.Node, netip.Addr, bool, bool) error { return nil }

// Silent implements BMCs.
func (w *world) Silent(err error) bool { return errors.Is(err, errSilent) }

// Refused implements BMCs.
func (w *world) Refused(err error) bool { return errors.Is(err, errRefused) }

// runToEnd submits a run and waits until it ended.
func (w *world) runToEnd(req api.RunRequest) api.RunView {
	w.t.Helper()
	v, err := w.at().Submit(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.wait(v.ID)
}

func (w *world) wait(id string) api.RunView {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	for {
		m := w.at()
		changed := m.changes()
		v, err := m.RunView(id)
		if err != nil {
			w.t.Fatal(err)
		}
		if v.State != runRunning {
			return v
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("run %s does not end: %+v", id, v)
		case <-changed:
		}
	}
}

func request() api.RunRequest {
	return api.RunRequest{Provision: "image", Image: "os", OnFailure: "cancel", Erase: api.EraseExact}
}
