package provision

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/image"
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
	t       *testing.T
	dir     string
	csv     string
	library *image.Library
	image   *image.Manifest
	bus     *event.Bus

	mu      sync.Mutex
	plan    *rack.Plan // no address moves when rows go
	machine *Machine
	store   store.Store
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
	writes    int
	bmcErr    error
	failWrite int  // how many writes fail
	plain     bool // the image takes no Ignition
	mute      bool // the installed system never calls back
	absent    bool // it never asks for anything once it is on
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
	if w.library, err = image.Open(filepath.Join(w.dir, "images")); err != nil {
		t.Fatal(err)
	}
	raw := bytes.Repeat([]byte{1, 2, 3, 4}, 64<<10)
	if w.image, err = w.library.Add(t.Context(), bytes.NewReader(raw), image.AddOptions{Name: "os"}); err != nil {
		t.Fatal(err)
	}
	for _, last := range []byte{2, 3} {
		w.servers[mac(last)] = &server{w: w, primary: mac(last), bmc: rack.MAC{0x52, 0x54, 0, 0, 1, last}.String(), clock: time.Now()}
	}
	t.Cleanup(w.kill)
	return w
}

// Load implements Metadata.
func (w *world) Load(context.Context) (*rack.Rack, *rack.Plan, error) {
	r, err := rack.ReadCSV(strings.NewReader(w.csv), "nodes.csv", rack.ReadOptions{ManagementMAC: mac(1)})
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := rack.MakePlan(netip.MustParsePrefix("172.24.213.0/24"), r, w.plan)
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
			CheckBMC: time.Minute, Power: time.Minute, Netboot: time.Minute, Agent: time.Minute, Stalled: time.Minute, Boot: time.Minute,
		},
	}
	if tune != nil {
		tune(&cfg)
	}
	ctx, stop := context.WithCancel(context.Background())
	m, err := New(ctx, cfg, st, Needs{
		BMCs: w, Images: w.library, Neighbours: w, Render: render, Events: w.bus, Metadata: w,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.machine, w.store, w.stop, w.ended = m, st, stop, make(chan error, 1)
	ended := w.ended
	w.mu.Unlock()
	go func() { ended <- m.Run(ctx) }()
	return m
}

func render(_ context.Context, n NodeConfig) ([]byte, error) {
	return []byte(n.HostName + " " + n.CallbackURL + " " + n.CallbackToken), nil
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
	if err := <-ended; err != nil {
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
	if s.on == on {
		w.mu.Unlock()
		return nil
	}
	s.on = on
	if on {
		s.boot()
	} else {
		s.powerOffs++
		s.stopBoot()
	}
	dark := s.dark
	w.mu.Unlock()
	if !on && dark != nil {
		<-dark
	}
	return nil
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

// again repeats a call until it succeeds on a machine that lives, as agents and firmware do.
func (s *server) again(ctx context.Context, call func(*Machine) error) bool {
	for ctx.Err() == nil {
		if m := s.w.at(); m != nil && call(m) == nil {
			return true
		}
		if !pause(ctx, time.Millisecond) {
			return false
		}
	}
	return false
}

var tokenArg = regexp.MustCompile(api.ArgToken + `=(\S+)`)

// life is one boot after the other until the server's installed system called back.
func (s *server) life(ctx context.Context) {
	from := s.w.addr(s.primary[5])
	if s.absent {
		return
	}
	for ctx.Err() == nil {
		var script string
		ok := s.again(ctx, func(m *Machine) (err error) {
			if err := m.NetworkBoot(ctx, s.primary); err != nil {
				return err
			}
			script, err = m.BootScript(ctx, bootd.BootQuery{From: from, MAC: s.primary, Platform: "efi"})
			return err
		})
		if !ok {
			return
		}
		if token := tokenArg.FindStringSubmatch(script); token != nil {
			s.install(ctx, from, token[1])
			continue
		}
		if s.silentBoot {
			return
		}
		s.again(ctx, func(m *Machine) error { return m.SystemBoot(ctx, s.primary) })
		s.callBack(ctx, from)
		return
	}
}

func (s *server) peer(from netip.Addr, token string) bootd.Peer {
	return bootd.Peer{Addr: from, Key: sha256.Sum256([]byte(token))}
}

func (s *server) checkIn(token string) api.CheckIn {
	return api.CheckIn{Token: token, Clock: s.clock, Identity: api.Identity{
		BootMAC: s.primary.String(), BMCMAC: s.bmc, Firmware: "uefi",
	}}
}

// install does the agent's work once; it returns when the machine reboots.
func (s *server) install(ctx context.Context, from netip.Addr, token string) {
	p := s.peer(from, token)
	var job *api.Job
	for ctx.Err() == nil {
		var a api.Assignment
		var old bool
		ok := s.again(ctx, func(m *Machine) (err error) {
			a, err = m.CheckIn(ctx, p, s.checkIn(token))
			old = errors.Is(err, bootd.ErrSession)
			if old {
				return nil
			}
			return err
		})
		if !ok {
			return
		}
		if old && !pause(ctx, 5*time.Millisecond) {
			return
		}
		if job = a.Job; job != nil && s.steps(ctx, p, job) {
			return
		}
	}
}

// steps reports whether the machine reboots.
func (s *server) steps(ctx context.Context, p bootd.Peer, job *api.Job) bool {
	for i := job.Next; i < len(job.Steps); i++ {
		r := api.StepReport{State: api.StepDone}
		switch job.Steps[i] {
		case api.StepDisk:
			r.Result = marshal(api.DiskResult{Disk: api.Disk{Path: "/dev/vda", Serial: "D" + s.primary.String(), Size: 1 << 30}})
		case api.StepWrite:
			if !s.report(ctx, p, job, i, api.StepReport{State: api.StepRunning, Progress: &api.Progress{Done: 1, Total: 2}}) {
				return false
			}
			if s.write() {
				r = api.StepReport{State: api.StepFailed, Reason: "chunk 1: wrong SHA-256", LogTail: "tail"}
			} else {
				r.Result = marshal(api.WriteResult{Bytes: 1, ESP: "11111111-2222-3333-4444-555555555555"})
			}
		case api.StepIgnition:
			r.Result = marshal(map[string]bool{"skipped": s.plain})
		}
		if !s.report(ctx, p, job, i, r) || r.State == api.StepFailed {
			return false
		}
	}
	return ctx.Err() == nil
}

// write counts a write of the disk, and reports whether it fails.
func (s *server) write() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.writes++
	s.failWrite--
	return s.failWrite >= 0
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// report repeats a report until it is answered, and tells whether the job goes on.
func (s *server) report(ctx context.Context, p bootd.Peer, job *api.Job, step int, r api.StepReport) bool {
	var reply api.StepReply
	var gone bool
	ok := s.again(ctx, func(m *Machine) (err error) {
		reply, err = m.Report(ctx, p, job.ID, step, r)
		if gone = errors.Is(err, bootd.ErrSession); gone {
			return nil
		}
		return err
	})
	return ok && !gone && !reply.Stop
}

func (s *server) callBack(ctx context.Context, from netip.Addr) {
	if s.mute || s.plain {
		return
	}
	s.again(ctx, func(m *Machine) error {
		_, rec := m.node(s.primary)
		if rec.Install == nil {
			return errors.New("no install")
		}
		n, _ := m.node(s.primary)
		return m.Callback(ctx, from, n.Name, api.SignalReady, rec.Install.Callback, api.Callback{HostName: n.Name, HostKeys: []string{"256 SHA256:x"}})
	})
}

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
	return api.RunRequest{Provision: "image", Image: "os", OnFailure: "cancel"}
}
