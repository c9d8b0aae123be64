package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/agent"
	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/sim"
)

// Errors with which an agent's life ends early.
var (
	errReset  = errors.New("the server reset itself")
	errSilent = errors.New("the agent fell silent")
)

// microkernel starts a kernel with a command line, and in it the agent. It reports whether the machine then reboots.
func (s *session) microkernel(ctx context.Context, words []string) (reboot bool) {
	s.note(func(n *node) {
		n.state = sim.StateAgent
		n.count.Microkernels++
		if n.disk.bootable() {
			n.count.MicrokernelsInstalled++
		}
	})
	if s.pause(ctx, s.node.hw.Kernel) != nil {
		return false
	}
	cfg, err := agent.ParseSettings(strings.Join(words, " "))
	if err != nil {
		s.hang(ctx, "kernel: "+err.Error())
		return false
	}
	if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "ip=") && !strings.Contains(w, "dhcp") }) {
		if _, err := s.lease(ctx, systemPatience(), asAgent()...); err != nil {
			return false // only the end of power ends that
		}
	}
	if s.fault().NoCheckIn {
		s.hang(ctx, "kernel panic - not syncing")
		return false
	}
	err = s.agent(ctx, cfg)
	if errors.Is(err, errReset) || err == nil {
		return ctx.Err() == nil
	}
	s.hang(ctx, "agent: "+err.Error())
	return false
}

// agent runs the agent until the machine is to reboot (nil, or errReset when it did so by itself).
func (s *session) agent(ctx context.Context, cfg agent.Settings) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b := &board{session: s, stop: stop}
	a, err := agent.New(cfg, b.machine(), agent.NewLogbook(screen{s}))
	if err != nil {
		return err
	}
	if err := a.Run(ctx); context.Cause(ctx) != nil {
		return errors.Join(context.Cause(ctx), err)
	} else if err != nil {
		return err
	}
	return nil
}

// screen shows the agent's log.
type screen struct{ s *session }

// Write implements io.Writer.
func (c screen) Write(p []byte) (int, error) {
	_, text, _ := strings.Cut(string(p), " msg=")
	c.s.say("%s", text)
	return len(p), nil
}

// board is the hardware that the agent finds in a fake server.
type board struct {
	*session
	stop context.CancelCauseFunc
}

func (b *board) machine() agent.Machine {
	return agent.Machine{
		Survey:   b.survey,
		Now:      time.Now,
		SetClock: func(time.Time) error { return nil },
		Reboot:   func() error { return nil },
		Dial:     b.dial,
		Between:  func(next http.RoundTripper) http.RoundTripper { return &bench{board: b, next: next} },
		Write:    b.write,
		Place:    b.place,
	}
}

// survey is what a machine of this kind tells of itself.
func (b *board) survey(ctx context.Context) (api.Identity, api.Hardware, error) {
	n, hw := b.node, &b.node.hw
	primary, secondary := b.port.mac.String(), n.row.Secondary.String()
	id := api.Identity{
		BootMAC: primary, MACs: []string{primary}, Serial: hw.Serial, UUID: uuidText(n.uuid()),
		Vendor: "racker", Product: "fake server", Firmware: hw.Firmware, Arch: "amd64",
	}
	if !n.row.BMC.IsZero() && !hw.NoInBand {
		id.BMCMAC = n.row.BMC.String()
	}
	nics := []api.NIC{{Name: "eth0", MAC: primary, Driver: "fake", Link: true}}
	if !n.row.Secondary.IsZero() {
		id.MACs = append(id.MACs, secondary)
		nics = append(nics, api.NIC{Name: "eth1", MAC: secondary, Driver: "fake", Link: true})
	}
	held := b.held()
	d := api.Disk{
		Name: "sda", Path: "/dev/sda", ByPath: "pci-0000:00:05.0-ata-1", Model: "FAKE", Serial: "F" + hw.Serial,
		Transport: "sata", Size: int64(hw.Disk), Contents: held.contents(),
	}
	return id, api.Hardware{CPUs: 8, MemoryBytes: 32 << 30, NICs: nics, Disks: []api.Disk{d}}, ctx.Err()
}

// bench stands between the agent and the server: it loses answers, or everything.
type bench struct {
	*board
	next http.RoundTripper

	mu     sync.Mutex
	lost   map[string]bool // reports whose first answer was lost
	silent bool
}

// RoundTrip implements http.RoundTripper.
func (b *bench) RoundTrip(req *http.Request) (*http.Response, error) {
	f := b.fault()
	b.mu.Lock()
	silent := b.silent
	b.mu.Unlock()
	if silent && f.AgentSilent {
		<-req.Context().Done()
		return nil, errSilent
	}
	res, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch path := req.URL.Path; {
	case path == api.AgentCheckInPath && f.AgentSilent:
		b.silent = true
	case f.ReplyLost && strings.Contains(path, "/steps/") && b.loses(req, res):
		res.Body.Close()
		return nil, errors.New("the answer was lost")
	}
	return res, nil
}

// loses tells whether the answer to a report is the first one, by the report's length too: progress differs in it.
func (b *bench) loses(req *http.Request, res *http.Response) bool {
	key := fmt.Sprintf("%s %d", req.URL.Path, req.ContentLength)
	if res.StatusCode != http.StatusOK || b.lost[key] {
		return false
	}
	if b.lost == nil {
		b.lost = map[string]bool{}
	}
	b.lost[key] = true
	return true
}

// write puts the image on the disk.
func (b *board) write(ctx context.Context, _ api.Disk, src image.Fetcher, m *image.Manifest, o image.Options) (string, error) {
	b.note(func(n *node) {
		n.state = sim.StateWriting
		n.writes++
		n.disk = disk{}
	})
	w := &writer{board: b, src: src, m: m, o: o, began: time.Now()}
	if err := w.run(ctx); err != nil {
		if context.Cause(ctx) != nil && errors.Is(context.Cause(ctx), errReset) {
			return "", errReset
		}
		b.become(sim.StateAgent)
		return "", fmt.Errorf("write image %s: %w", m.ID, err)
	}
	d := disk{image: m.ID, head: w.proof.head}
	var err error
	if d.esp, _, err = image.ESP(d, m.RawSize); err != nil {
		return "", fmt.Errorf("look for an EFI system partition: %w", err)
	}
	d.size = m.RawSize
	b.note(func(n *node) { n.disk, n.state = d, sim.StateAgent })
	return d.esp, nil
}
