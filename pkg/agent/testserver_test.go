package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/rack"
)

const (
	testToken = "token-1"
	testMAC   = "52:54:00:12:34:56"
	testJob   = "job-1"
	// answerTime bounds every wait in a test; nothing waits that long when all is well.
	answerTime = 30 * time.Second
)

// reported is one report as the server got it.
type reported struct {
	step int
	api.StepReport
}

// rackServer is racker's HTTP side for one node, with a job and faults by the test's choice. It implements
// bootd.Agents, bootd.Boots, bootd.Callbacks and bootd.Observer.
type rackServer struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and renewed at each change
	job      *api.Job
	blobs    map[string][]byte
	checkIns []api.CheckIn
	keys     map[[32]byte]bool
	reports  []reported
	log      strings.Builder
	token    string

	// lose says, before a request is answered, whether its reply is lost; the request is taken all the same.
	lose func(what string) bool
	// reply overrides the answer to a report; nil for the usual one.
	reply func(r reported) *api.StepReply
}

func newRackServer() *rackServer {
	return &rackServer{changed: make(chan struct{}), blobs: map[string][]byte{}, keys: map[[32]byte]bool{}, token: testToken}
}

// change calls f under the lock and wakes who waits.
func (s *rackServer) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until f, called under the lock, is true.
func (s *rackServer) await(t *testing.T, what string, f func() bool) {
	t.Helper()
	s.awaitFor(t, answerTime, what, f)
}

// awaitFor is await with a limit of its own.
func (s *rackServer) awaitFor(t *testing.T, most time.Duration, what string, f func() bool) {
	t.Helper()
	limit := time.NewTimer(most)
	defer limit.Stop()
	for {
		s.mu.Lock()
		ok, changed := f(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("%s: not within %v; reports %+v; log:\n%s", what, most, s.reports, s.log.String())
		}
	}
}

// drop aborts the connection when the reply is to be lost.
func (s *rackServer) drop(what string) {
	s.mu.Lock()
	lost := s.lose != nil && s.lose(what)
	s.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}
}

func (s *rackServer) CheckIn(ctx context.Context, p bootd.Peer, in api.CheckIn) (api.Assignment, error) {
	var changed chan struct{}
	var job *api.Job
	refuse := false
	s.change(func() {
		refuse = in.Token != s.token
		s.checkIns = append(s.checkIns, in)
		s.keys[p.Key] = true
		if s.job != nil {
			j := *s.job
			job = &j
		}
		changed = nil
	})
	if refuse {
		return api.Assignment{}, bootd.ErrSession
	}
	s.drop("checkin")
	if job == nil {
		s.mu.Lock()
		changed = s.changed
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(time.Second):
		}
	}
	return api.Assignment{Node: "node-1", Job: job}, nil
}

func (s *rackServer) Report(_ context.Context, _ bootd.Peer, job string, step int, r api.StepReport) (api.StepReply, error) {
	var out api.StepReply
	got := reported{step, r}
	var err error
	s.change(func() {
		s.reports = append(s.reports, got)
		switch {
		case s.reply != nil && s.reply(got) != nil:
			out = *s.reply(got)
		case s.job == nil || s.job.ID != job:
			err = bootd.ErrSession
		case step < s.job.Next:
		case r.State == api.StepFailed:
			s.job = nil
		case r.State == api.StepDone:
			s.job.Next = step + 1
		}
	})
	if err == nil {
		s.drop("report " + strconv.Itoa(step) + " " + string(r.State))
	}
	return out, err
}

func (s *rackServer) Blob(_ context.Context, _ bootd.Peer, _, name string) ([]byte, error) {
	s.drop("blob " + name)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[name]
	if !ok {
		return nil, bootd.ErrUnknown
	}
	return b, nil
}

func (s *rackServer) Log(_ context.Context, _ bootd.Peer, lines []byte) error {
	s.drop("log")
	s.change(func() { s.log.Write(lines) })
	return nil
}

func (s *rackServer) BootScript(context.Context, bootd.BootQuery) (string, error) {
	return "", bootd.ErrUnknown
}

func (s *rackServer) Callback(context.Context, netip.Addr, string, string, string, api.Callback) error {
	return bootd.ErrUnknown
}

func (s *rackServer) Asset(context.Context, bootd.Served) {}

// serving is a running bootd.Server that can be stopped and started again at the same ports.
type serving struct {
	cfg       bootd.Config
	handlers  bootd.Handlers
	authority *bootd.Authority
	cancel    context.CancelFunc
	done      chan error
}

// serve starts the real HTTP side in front of s, with a certificate for the address by which agents reach it.
func serve(t *testing.T, s *rackServer, reached string, images fs.FS) *serving {
	t.Helper()
	ca, err := bootd.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Leaf(netip.MustParseAddr(reached), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	v := &serving{
		authority: ca,
		handlers:  bootd.Handlers{Boots: s, Agents: s, Callbacks: s, Observer: s},
		cfg: bootd.Config{
			Addr: netip.MustParseAddr("127.0.0.1"), Certificate: leaf, Drain: 100 * time.Millisecond,
			Assets: map[string]fs.FS{bootd.AreaImages: images},
		},
	}
	v.start(t)
	t.Cleanup(func() { v.stop(t) })
	return v
}

func (v *serving) start(t *testing.T) {
	t.Helper()
	srv, err := bootd.New(v.cfg, v.handlers, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := srv.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	v.cfg.HTTPPort, v.cfg.HTTPSPort = srv.Ports()
	v.cancel, v.done = cancel, make(chan error, 1)
	go func() { v.done <- srv.Run(ctx) }()
}

// stop ends the server; it may be called twice.
func (v *serving) stop(t *testing.T) {
	t.Helper()
	v.cancel()
	if err := <-v.done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("server: %v", err)
	}
	v.done <- nil
}

// settings are what the kernel's command line would say.
func (v *serving) settings(t *testing.T, host string) Settings {
	t.Helper()
	mac, err := rack.ParseMAC(testMAC)
	if err != nil {
		t.Fatal(err)
	}
	return Settings{
		Server: &url.URL{Scheme: "https", Host: host + ":" + strconv.Itoa(v.cfg.HTTPSPort), Path: "/"},
		Assets: &url.URL{Scheme: "http", Host: host + ":" + strconv.Itoa(v.cfg.HTTPPort), Path: "/assets/"},
		Token:  testToken, Pin: v.authority.Pin(), MAC: mac,
	}
}

// rig is an agent on a pretended machine whose disk is a file.
type rig struct {
	srv     *rackServer
	net     *serving
	img     *testImage
	machine Machine
	disk    string // file
	oem     string // what Mount gives
	reboots chan struct{}
	opened  []string // device of each mount
	clock   time.Time
	agent   *Agent
}

// newRig builds everything but starts no agent. The disk is larger than the image and full of random bytes.
func newRig(t *testing.T) *rig {
	t.Helper()
	return rigFor(t, makeImage(t, fsExt4))
}

// rigFor is newRig with an image that tests may share.
func rigFor(t *testing.T, img *testImage) *rig {
	t.Helper()
	r := &rig{srv: newRackServer(), img: img, reboots: make(chan struct{}, 1), oem: t.TempDir()}
	r.net = serve(t, r.srv, "127.0.0.1", os.DirFS(r.img.library))
	r.disk = randomFile(t, r.img.manifest.RawSize+3<<20)
	manifest, err := json.Marshal(r.img.manifest)
	if err != nil {
		t.Fatal(err)
	}
	r.srv.blobs[api.BlobManifest] = manifest
	r.srv.blobs[api.BlobIgnition] = []byte(`{"ignition":{"version":"3.3.0"}}`)
	r.srv.job = r.img.job()
	r.machine = Machine{
		Survey: func(context.Context) (api.Identity, api.Hardware, error) {
			return api.Identity{BootMAC: testMAC, MACs: []string{testMAC}, Firmware: "uefi", Arch: "amd64", Serial: "ABC"},
				api.Hardware{CPUs: 2, Disks: []api.Disk{fileDisk(t, r.disk)}}, nil
		},
		OpenDisk: openFile,
		Mount: func(device, _ string) (string, func() error, error) {
			r.opened = append(r.opened, device)
			return r.oem, func() error { return nil }, nil
		},
		EFIVars:      t.TempDir(),
		BootFromDisk: func(context.Context, bool) error { return nil },
		Now:          func() time.Time { return time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC) },
		SetClock:     func(at time.Time) error { r.clock = at; return nil },
		Reboot:       func() error { r.reboots <- struct{}{}; return nil },
	}
	return r
}

// start runs the agent with short waits and gives what ends it and waits.
func (r *rig) start(t *testing.T) (stop func() error) {
	t.Helper()
	a, err := New(r.net.settings(t, "127.0.0.1"), r.machine, NewLogbook(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	a.retry = pace{First: 2 * time.Millisecond, Most: 20 * time.Millisecond}
	a.denied = pace{First: 5 * time.Millisecond, Most: 20 * time.Millisecond}
	a.tick = 5 * time.Millisecond
	r.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-done })
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// rebooted waits for the reboot.
func (r *rig) rebooted(t *testing.T) {
	t.Helper()
	select {
	case <-r.reboots:
	case <-time.After(answerTime):
		r.srv.mu.Lock()
		defer r.srv.mu.Unlock()
		t.Fatalf("no reboot; reports %+v", r.srv.reports)
	}
}
