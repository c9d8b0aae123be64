package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"

	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/rack"
)

// Options of a rack.
type Options struct {
	// Nodes is the nodes.csv to copy into the folder; empty keeps the one there, or makes the default rack.
	Nodes string
	// Address gives the management node's internal NIC its address; else that is left to racker.
	Address bool
	// PowerOn switches every server on at the start.
	PowerOn bool
	Log     *slog.Logger
}

// Rack is a rack that is up: the supervisor. Its methods may be called from any goroutine.
type Rack struct {
	site    *Site
	log     *slog.Logger
	servers []*server
	units   []*unit
	options Options
}

// New builds the rack of a folder: networks, disks and machines, all off. Only one process can hold a folder (ErrRunning).
func New(ctx context.Context, folder Folder, options Options) (*Rack, error) {
	if err := checkHost(); err != nil {
		return nil, err
	}
	site, err := Occupy(ctx, folder)
	if err != nil {
		return nil, err
	}
	r := &Rack{site: site, log: options.Log, options: options}
	if err := r.build(); err != nil {
		return nil, errors.Join(err, site.Leave(ctx))
	}
	return r, nil
}

// checkHost says what the host lacks before anything is made.
func checkHost() error {
	if os.Geteuid() != 0 {
		return errors.New("a simulated rack needs root, for network namespaces and taps")
	}
	if _, err := os.Stat(tunDevice); err != nil {
		return fmt.Errorf("a simulated rack needs %s (container: --device %s): %w", tunDevice, tunDevice, err)
	}
	if _, err := exec.LookPath(qemuProgram); err != nil {
		return fmt.Errorf("a simulated rack needs QEMU (package qemu-system-x86): %w", err)
	}
	return nil
}

func (r *Rack) build() error {
	folder := r.site.Folder
	if err := folder.WriteOEM(r.options.Nodes); err != nil {
		return err
	}
	settings, err := ReadSettings(folder.Settings())
	if err != nil {
		return err
	}
	nodes, err := folder.ReadNodes(settings.prefix())
	if err != nil {
		return err
	}
	machines, err := settings.machines(nodes)
	if err != nil {
		return err
	}
	mtu, err := settings.mtu()
	if err != nil {
		return err
	}
	var address netip.Prefix
	if r.options.Address {
		address = ManagementAddress(settings.prefix())
	}
	if err := r.site.Cable(nodes.Management(), nodes.Servers(), address, mtu); err != nil {
		return err
	}
	if err := r.addServers(nodes, machines, settings.prefix()); err != nil {
		return err
	}
	return r.site.Open(r)
}

func (r *Rack) addServers(nodes *rack.Rack, machines map[string]Machine, prefix netip.Prefix) error {
	user, password, err := r.site.Folder.Credentials()
	if err != nil {
		return err
	}
	for i, n := range nodes.Servers() {
		s, err := newServer(n, machines[n.Name], r.site.Folder.Node(n.Name), r.site.Net, fmt.Sprintf("srv%d", i+1), r.log)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
		if n.BMC.IsZero() {
			continue
		}
		ns := r.site.Net.bmcs[n.Name]
		if err := staticBMC(ns, n, prefix); err != nil {
			return err
		}
		u, err := newUnit(s, ns, user, password, r.log)
		if err != nil {
			return err
		}
		r.units = append(r.units, u)
	}
	return nil
}

// Run runs the machines, their BMCs and the control socket until ctx is done or Down is asked for; then it ends
// everything in the rack, programs on the management node included, and returns when it is gone.
func (r *Rack) Run(ctx context.Context, ready func()) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return r.site.Serve(inner) })
	for _, s := range r.servers {
		group.Go(func() error { return s.run(inner) })
	}
	for _, u := range r.units {
		group.Go(func() error { return u.bmc.Run(inner) })
	}
	if r.options.PowerOn {
		for _, s := range r.servers {
			group.Go(func() error {
				if err := s.Order(OrderOn); !errors.Is(err, errStopped) {
					return err
				}
				return nil
			})
		}
	}
	if ready != nil {
		ready()
	}
	err := group.Wait()
	if errors.Is(err, ErrDown) {
		err = nil
	}
	return errors.Join(err, r.site.Leave(context.WithoutCancel(ctx)))
}

// Status gives what the servers are doing.
func (r *Rack) Status() Status {
	st := Status{Nodes: []NodeStatus{}}
	for _, s := range r.servers {
		st.Nodes = append(st.Nodes, s.Status())
	}
	return st
}

// Find implements Machines.
func (r *Rack) Find(name string) Controlled {
	for _, s := range r.servers {
		if s.node.Name == name {
			return s
		}
	}
	return nil
}

// Start starts a command on the management node: in its network namespace, with racker's paths in the environment. The
// caller waits for it.
func (r *Rack) Start(cmd *exec.Cmd) error { return r.site.Start(cmd) }

// Stranger makes a further machine on the internal network (Site.Stranger).
func (r *Rack) Stranger(mac rack.MAC, address netip.Prefix) (*Namespace, error) {
	return r.site.Stranger(mac, address)
}
