package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/audit"
	"github.com/racker-project/racker/pkg/bmc"
	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/daemon"
	"github.com/racker-project/racker/pkg/dhcpd"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/netif"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/sntpd"
	"github.com/racker-project/racker/pkg/store"
	"github.com/racker-project/racker/pkg/tftpd"
	"github.com/racker-project/racker/pkg/timeline"
	"github.com/racker-project/racker/pkg/version"
)

// Options are what the command line adds to the settings.
type Options struct {
	Settings config.Settings
	// Explain gives an error its exit code and hint, for the API.
	Explain func(error) *api.Error
	Log     *slog.Logger
}

// drain is how long scripts, kernels and TFTP transfers under way may go on after a stop.
const drain = 30 * time.Second

// memoryLimit is how much memory the garbage collector aims to keep the daemon in, in bytes: a management node is small, and
// a thousand servers at once need less.
const memoryLimit = 104 << 20

// site is what is known before the first component is made.
type site struct {
	Options
	store     store.Store
	events    *timeline.Timeline
	frames    *netif.Frames
	audit     *audit.Log
	metadata  *metadata
	iface     string
	authority *bootd.Authority
	library   *image.Library
	profiles  *profiles
	payload   *payload
	machine   *provision.Machine
}

// Run is the daemon: it returns when ctx is done, or a component failed. Its error matches store.ErrLocked when another
// racker holds the state.
func Run(ctx context.Context, o Options) (err error) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT wins
		debug.SetMemoryLimit(memoryLimit)
	}
	dir := o.Settings.StateDir
	for _, sub := range []string{"", "images", "microkernels", areaUpdates, "logs/nodes"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	st, err := store.Open(StatePath(o.Settings), store.Options{Log: o.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	record, err := audit.Open(ctx, AuditPath(o.Settings), audit.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	s := &site{Options: o, store: st, audit: record}
	s.events = timeline.Open(timeline.Config{Dir: filepath.Join(dir, "logs"), Name: s.nodeName}, o.Log)
	s.metadata = &metadata{settings: o.Settings, store: st, log: o.Log}
	parts, err := s.components(ctx)
	if err != nil {
		return err
	}
	// What the last component to stop says is still written.
	ectx, stop := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan error, 1)
	go func() { written <- s.events.Run(ectx) }()
	err = daemon.Run(ctx, o.Log, parts)
	stop()
	return errors.Join(err, <-written)
}

// nodeName names a node for the logs of runs.
func (s *site) nodeName(mac string) string {
	if n := s.machine.Rack().Find(mac); n != nil {
		return n.Name
	}
	return ""
}

// components makes all parts of the daemon, in the order in which they bind.
func (s *site) components(ctx context.Context) ([]daemon.Component, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	s.metadata.start()
	w := watcher{machine: s.machine, events: s.events, unknown: newSeldom(), log: s.Log}
	var parts []daemon.Component
	dhcp, err := s.dhcp(w)
	if err != nil {
		return nil, err
	}
	if dhcp != nil {
		parts = append(parts, daemon.Component{Name: "DHCP", Listen: s.named(dhcp.Listen, "udp", s.Settings.Ports.DHCP), Run: dhcp.Run})
	}
	seen := fetches{watcher: w, dhcp: dhcp}
	tftp, err := tftpd.New(tftpd.Config{
		Interface: s.iface, Server: s.machine.Plan().Server(), Port: s.Settings.Ports.TFTP, Drain: drain,
	}, s.payload.programs, seen, s.Log)
	if err != nil {
		return nil, err
	}
	sntp, err := s.sntp()
	if err != nil {
		return nil, err
	}
	if sntp != nil {
		parts = append(parts, daemon.Component{Name: "SNTP", Listen: sntp.Listen, Run: sntp.Run})
	}
	parts = append(parts, daemon.Component{Name: "TFTP", Listen: s.named(tftp.Listen, "udp", s.Settings.Ports.TFTP), Run: tftp.Run})
	http, err := s.http(seen)
	if err != nil {
		return nil, err
	}
	pulls, err := newPulls(s.Options, s.library, s.profiles)
	if err != nil {
		return nil, err
	}
	apiServer := &daemon.API{
		Path: s.Settings.Socket, Group: api.GroupOrder, ReadGroup: api.GroupRead, Version: version.String(),
		Operator: s.operator(dhcp), Images: images{library: s.library, profiles: s.profiles, pulls: pulls, users: s.machine}, Pulls: pulls,
		State: State(s.store, StatePath(s.Settings)), Orders: s.machine, Changes: s.machine, Updates: s.updates(), Configs: s.machine, Keys: s.machine,
		Audit: s.audit, Events: s.events, Explain: s.Explain, Log: s.Log,
	}
	return append(parts,
		daemon.Component{Name: "HTTP", Listen: s.named(http.Listen, "tcp", s.Settings.Ports.HTTP, s.Settings.Ports.HTTPS), Run: http.Run},
		daemon.Component{Name: "API", Listen: apiServer.Listen, Run: apiServer.Run},
		daemon.Component{Name: "frames", Run: s.frames.Run},
		daemon.Component{Name: "images", Run: pulls.Run},
		daemon.Component{Name: "runs", Run: s.machine.Run},
		daemon.Component{Name: "keys", Run: s.machine.KeepRotating},
	), nil
}

// prepare reads metadata, state and payload, and makes the state machine.
func (s *site) prepare(ctx context.Context) error {
	moves, err := provision.Moves(ctx, s.store)
	if err != nil {
		return err
	}
	r, plan, err := s.metadata.Load(ctx, moves)
	if err != nil {
		return err
	}
	if s.iface, err = s.metadata.internal(r, plan); err != nil {
		return err
	}
	if s.authority, err = authority(ctx, s.store); err != nil {
		return err
	}
	if s.library, s.profiles, err = openLibrary(s.Options); err != nil {
		return err
	}
	if s.payload, err = openPayload(s.Settings); err != nil {
		return err
	}
	s.frames = netif.NewFrames(s.iface, s.Log)
	keys := provision.NewKeys(s.store)
	client := &bmcs{client: bmc.New(bmc.Config{}), oemDir: s.Settings.OEMDir}
	s.machine, err = provision.New(ctx, provision.Config{
		Server: plan.Server(), HTTPPort: s.Settings.Ports.HTTP, HTTPSPort: s.Settings.Ports.HTTPS,
		Pin: s.authority.Pin(), CAPEM: s.authority.PEM(), Microkernel: s.microkernel, KernelArgs: s.kernelArgs(),
		LogDir: filepath.Join(s.Settings.StateDir, "logs", "nodes"), Deadlines: deadlines(s.Settings.Deadlines),
		RetryPause: s.Settings.Deadlines.Retry, PowerInterval: s.Settings.Limits.PowerInterval, ImageStreams: s.Settings.Limits.ImageStreams,
	}, s.store, provision.Needs{
		BMCs: client, Images: s.library, Neighbours: neighbours{iface: s.iface}, Render: render, Events: s.events, Metadata: s.metadata,
		Frames: frames{s.frames}, History: s.events, Audit: s.audit, Keys: keys, Remote: provision.NewReach(keys, 0), Updates: s.updates(),
	}, s.Log)
	return err
}

func (s *site) dhcp(w watcher) (*dhcpd.Server, error) {
	if s.Settings.DHCP == config.DHCPOff {
		return nil, nil
	}
	plan := s.machine.Plan()
	first, last := plan.Pool()
	return dhcpd.New(dhcpd.Config{
		Interface: s.iface, Server: plan.Server(), Prefix: plan.Prefix, PoolFirst: first, PoolLast: last,
		HTTPPort: s.Settings.Ports.HTTP, Port: s.Settings.Ports.DHCP, ChainAlways: s.Settings.ChainIPXE == config.ChainAlways,
	}, directory{s.machine}, pool{s.store}, w, s.payload.programs, s.Log)
}

// sntp tells the nodes the time; nil when the site wants it otherwise.
func (s *site) sntp() (*sntpd.Server, error) {
	if s.Settings.SNTP == config.SNTPOff {
		return nil, nil
	}
	plan := s.machine.Plan()
	return sntpd.New(sntpd.Config{Interface: s.iface, Server: plan.Server(), Prefix: plan.Prefix, Optional: true}, s.Log)
}

func (s *site) http(seen fetches) (*bootd.Server, error) {
	server := s.machine.Plan().Server()
	leaf, err := s.authority.Leaf(server, time.Now())
	if err != nil {
		return nil, err
	}
	assets, err := s.assets()
	if err != nil {
		return nil, err
	}
	return bootd.New(bootd.Config{
		Addr: server, HTTPPort: s.Settings.Ports.HTTP, HTTPSPort: s.Settings.Ports.HTTPS, Control: bindTo(s.iface),
		Certificate: leaf, Assets: assets, GRUB: s.payload.grub, Drain: drain,
	}, bootd.Handlers{Boots: s.machine, Agents: s.machine, Callbacks: s.machine, Observer: seen, Strays: s.machine}, s.Log)
}

func (s *site) operator(dhcp *dhcpd.Server) operator {
	plan := s.machine.Plan()
	return operator{Machine: s.machine, metadata: s.metadata, profiles: s.profiles, dhcp: dhcp, micro: s.microkernel, rack: api.RackView{
		Network: plan.Prefix.String(), Server: plan.Server().String(), Interface: s.iface, Version: version.String(),
	}}
}

func deadlines(d config.Deadlines) provision.Deadlines {
	return provision.Deadlines{
		CheckBMC: d.CheckBMC, Power: d.Power, Netboot: d.Netboot, Agent: d.Agent, Disks: d.Disks, Stalled: d.Stalled, Boot: d.Boot,
	}
}
