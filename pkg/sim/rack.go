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
	"golang.org/x/sys/unix"

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
	folder  Folder
	log     *slog.Logger
	lock    *os.File
	net     *network
	nsID    uint64
	servers []*server
	units   []*unit
	control *control
	options Options
}

// New builds the rack of a folder: networks, disks and machines, all off. Only one process can hold a folder (ErrRunning).
func New(ctx context.Context, folder Folder, options Options) (*Rack, error) {
	if err := checkHost(); err != nil {
		return nil, err
	}
	if err := folder.Make(); err != nil {
		return nil, err
	}
	lock, err := folder.lock()
	if err != nil {
		return nil, err
	}
	r := &Rack{folder: folder, log: options.Log, lock: lock, options: options}
	if err := r.build(ctx); err != nil {
		return nil, errors.Join(err, r.close(ctx))
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

func (r *Rack) build(ctx context.Context) error {
	if old, err := r.folder.read(); err == nil {
		r.folder.evict(ctx, old.Namespace)
	}
	if err := r.folder.clean(); err != nil {
		return fmt.Errorf("clean up after the last rack: %w", err)
	}
	if err := r.folder.writeOEM(r.options.Nodes); err != nil {
		return err
	}
	settings, err := ReadSettings(r.folder.Settings())
	if err != nil {
		return err
	}
	nodes, err := r.folder.readNodes(settings.prefix())
	if err != nil {
		return err
	}
	machines, err := settings.machines(nodes)
	if err != nil {
		return err
	}
	if r.net, err = newNetwork(nodes.Management(), nodes.Servers()); err != nil {
		return err
	}
	if r.nsID, err = r.net.mgmt.inode(); err != nil {
		return err
	}
	if r.options.Address {
		if err := r.net.mgmt.address(InternalInterface, managementAddress(settings.prefix())); err != nil {
			return err
		}
	}
	if err := r.addServers(nodes, machines, settings.prefix()); err != nil {
		return err
	}
	return r.folder.write(runState{PID: os.Getpid(), ManagementFD: int(r.net.mgmt.file.Fd()), Namespace: r.nsID})
}

func (r *Rack) addServers(nodes *rack.Rack, machines map[string]Machine, prefix netip.Prefix) error {
	user, password, err := r.folder.credentials()
	if err != nil {
		return err
	}
	for i, n := range nodes.Servers() {
		s, err := newServer(n, machines[n.Name], r.folder.Node(n.Name), r.net, fmt.Sprintf("srv%d", i+1), r.log)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
		if n.BMC.IsZero() {
			continue
		}
		ns := r.net.bmcs[n.Name]
		if err := staticBMC(ns, n, prefix); err != nil {
			return err
		}
		u, err := newUnit(s, ns, user, password, r.log)
		if err != nil {
			return err
		}
		r.units = append(r.units, u)
	}
	r.control, err = newControl(r)
	return err
}

// managementAddress is the first host of the internal network.
func managementAddress(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(p.Masked().Addr().Next(), p.Bits())
}

// Run runs the machines, their BMCs and the control socket until ctx is done or Down is asked for; then it ends
// everything in the rack, programs on the management node included, and returns when it is gone.
func (r *Rack) Run(ctx context.Context, ready func()) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return r.control.run(inner) })
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
	if errors.Is(err, errDown) {
		err = nil
	}
	return errors.Join(err, r.close(context.WithoutCancel(ctx)))
}

// close undoes build.
func (r *Rack) close(ctx context.Context) error {
	var errs []error
	if r.nsID != 0 {
		r.folder.evict(ctx, r.nsID)
	}
	if r.control != nil {
		errs = append(errs, r.control.close())
	}
	if r.net != nil {
		errs = append(errs, r.net.Close())
	}
	errs = append(errs, r.folder.clean(), unix.Flock(int(r.lock.Fd()), unix.LOCK_UN), r.lock.Close())
	return errors.Join(errs...)
}

// Status gives what the servers are doing.
func (r *Rack) Status() Status {
	st := Status{Nodes: []NodeStatus{}}
	for _, s := range r.servers {
		st.Nodes = append(st.Nodes, s.Status())
	}
	return st
}

// find gives a server by name, or nil.
func (r *Rack) find(name string) *server {
	for _, s := range r.servers {
		if s.node.Name == name {
			return s
		}
	}
	return nil
}

// Start starts a command on the management node: in its network namespace, with racker's paths in the environment. The
// caller waits for it.
func (r *Rack) Start(cmd *exec.Cmd) error {
	cmd.Env = r.folder.Environment(cmd.Environ())
	return r.net.mgmt.do(cmd.Start)
}
