package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
)

// Options of a fleet.
type Options struct {
	// Servers is how many there are, 1 to MaxServers; nodes.csv is written anew unless the folder has one with as many. 0 takes
	// those of the folder's nodes.csv, or three.
	Servers int
	// Settings win over those of the folder's sim.yaml.
	Settings Settings
	// Address gives the management node's internal NIC its address; else that is left to racker.
	Address bool
	// PowerOn switches every server on at the start.
	PowerOn bool
	Log     *slog.Logger
}

// Fleet is a rack of fake servers: the supervisor. Its methods may be called from any goroutine.
type Fleet struct {
	site    *sim.Site
	options Options
	log     *slog.Logger
	scale   float64
	relay   *relay
	ns      *sim.Namespace
	sockets *sockets
	nodes   []*node
	byName  map[string]*node

	proofs *proofs
	copies copyBuffers
	tftp   tftpBuffers

	jobs chan func(context.Context) // of servers, for Run
	over chan struct{}              // closed when no job is taken any more
}

// New builds the fleet of a folder, with all servers off. Only one process can hold a folder (sim.ErrRunning).
func New(ctx context.Context, folder sim.Folder, options Options) (*Fleet, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a fleet needs root, for network namespaces and taps")
	}
	site, err := sim.Occupy(ctx, folder)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		site: site, options: options, log: options.Log, byName: map[string]*node{}, proofs: newProofs(),
		jobs: make(chan func(context.Context)), over: make(chan struct{}),
	}
	if err := f.build(); err != nil {
		return nil, errors.Join(err, f.close(ctx))
	}
	return f, nil
}

func (f *Fleet) build() error {
	settings, err := ReadSettings(f.site.Folder.Settings())
	if err != nil {
		return err
	}
	settings = f.options.Settings.Over(settings)
	if err := settings.validate(); err != nil {
		return err
	}
	f.scale = settings.Scale
	if f.scale == 0 {
		f.scale = 1
	}
	l, err := prepare(f.site.Folder, settings, f.options.Servers)
	if err != nil {
		return err
	}
	rows, err := f.site.Folder.ReadNodes(l.prefix)
	if err != nil {
		return err
	}
	servers, err := settings.servers(rows)
	if err != nil {
		return err
	}
	if err := f.cable(rows, l); err != nil {
		return err
	}
	if err := f.addNodes(rows, servers); err != nil {
		return err
	}
	return f.site.Open(f)
}

// cable makes the networks, and the relay between the servers and the rack.
func (f *Fleet) cable(rows *rack.Rack, l layout) error {
	var address netip.Prefix
	if f.options.Address {
		address = sim.ManagementAddress(l.prefix)
	}
	if err := f.site.Cable(rows.Management(), nil, address, sim.DefaultMTU); err != nil {
		return err
	}
	f.relay = newRelay(l.prefix, rows.Management().Secondary, f.log)
	var err error
	if f.ns, err = f.relay.cable(f.site.Net); err != nil {
		return err
	}
	f.sockets = newSockets(f.ns)
	if l.bmcs.IsValid() {
		return routeBMCs(f.site.Net, f.ns, l.bmcs)
	}
	return nil
}

func (f *Fleet) addNodes(rows *rack.Rack, servers map[string]Server) error {
	user, password, err := f.site.Folder.Credentials()
	if err != nil {
		return err
	}
	for _, row := range rows.Servers() {
		n := &node{fleet: f, row: row, hw: servers[row.Name], state: sim.StateOff, log: f.log.With("node", row.Name)}
		n.nics = [2]*port{f.relay.port(row.Primary), f.relay.port(otherNIC(row.Primary))}
		n.port = n.nics[0]
		n.hw.password = password
		if err := n.addBMC(user); err != nil {
			return err
		}
		if err := n.SetFaults(n.hw.faults); err != nil {
			return err
		}
		f.nodes = append(f.nodes, n)
		f.byName[row.Name] = n
	}
	return nil
}

// Run runs the servers, their BMCs and the control socket until ctx is done or the end is asked for; then it ends everything,
// programs on the management node included, and returns when it is gone.
func (f *Fleet) Run(ctx context.Context, ready func()) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return f.relay.run(inner) })
	group.Go(func() error { return f.sockets.run(inner) })
	group.Go(func() error { return f.employ(inner) })
	group.Go(func() error { return f.site.Serve(inner) })
	for _, n := range f.nodes {
		if n.bmc != nil {
			group.Go(func() error { return n.runBMC(inner) })
		}
	}
	if f.options.PowerOn {
		for _, n := range f.nodes {
			n.power(true, false)
		}
	}
	if ready != nil {
		ready()
	}
	err := group.Wait()
	if errors.Is(err, sim.ErrDown) {
		err = nil
	}
	return errors.Join(err, f.close(context.WithoutCancel(ctx)))
}

// employ runs the servers' jobs until ctx is done and they have ended.
func (f *Fleet) employ(ctx context.Context) error {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	defer close(f.over)
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-f.jobs:
			jobs.Go(func() { job(ctx) })
		}
	}
}

// work gives Run a job; it is dropped when the fleet ends.
func (f *Fleet) work(job func(context.Context)) {
	select {
	case f.jobs <- job:
	case <-f.over:
	}
}

// scaled gives the time that a server takes by itself.
func (f *Fleet) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * f.scale) }

// close undoes build.
func (f *Fleet) close(ctx context.Context) error {
	err := f.site.Leave(ctx)
	if f.ns != nil {
		err = errors.Join(err, f.ns.Close())
	}
	return err
}

// Status gives what the servers are doing.
func (f *Fleet) Status() sim.Status {
	st := sim.Status{Nodes: make([]sim.NodeStatus, 0, len(f.nodes))}
	for _, n := range f.nodes {
		st.Nodes = append(st.Nodes, n.Status())
	}
	return st
}

// Find implements sim.Machines.
func (f *Fleet) Find(name string) sim.Controlled {
	if n := f.byName[name]; n != nil {
		return n
	}
	return nil
}

// SetFaults makes a server misbehave from now on, or behave again.
func (f *Fleet) SetFaults(name string, faults sim.Faults) error {
	n := f.byName[name]
	if n == nil {
		return fmt.Errorf("no server %s in this fleet", name)
	}
	return n.SetFaults(faults)
}

// Start starts a command on the management node: in its network namespace, with racker's paths in the environment. The
// caller waits for it.
func (f *Fleet) Start(cmd *exec.Cmd) error { return f.site.Start(cmd) }

// Stranger makes a further machine on the internal network (sim.Site.Stranger).
func (f *Fleet) Stranger(mac rack.MAC, address netip.Prefix) (*sim.Namespace, error) {
	return f.site.Stranger(mac, address)
}
