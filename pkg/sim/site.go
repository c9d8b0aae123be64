package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

// ErrDown is what Site.Serve gives when the rack's end was asked for over its control socket.
var ErrDown = errors.New("down")

// Controlled is one server as the control socket sees it. Its methods may be called from any goroutine.
type Controlled interface {
	Order(PowerOrder) error
	SetFaults(Faults) error
	Status() NodeStatus
}

// Machines are the servers of a rack as the control socket sees them.
type Machines interface {
	Status() Status
	// Find gives a server by its name, or nil.
	Find(name string) Controlled
}

// Site is what racks of every kind stand on: a folder that only one process holds, the networks with the management node,
// and the control socket. Call Occupy, Cable, Open and Serve in this order, and Leave whatever happened.
type Site struct {
	Folder Folder
	// Net is there after Cable.
	Net *Network

	lock    *os.File
	nsID    uint64
	control *control
}

// Occupy takes a folder, makes it where it is not there, and ends what an earlier supervisor left in it. Only one process
// can hold a folder (ErrRunning).
func Occupy(ctx context.Context, folder Folder) (*Site, error) {
	if err := folder.Make(); err != nil {
		return nil, err
	}
	lock, err := folder.lock()
	if err != nil {
		return nil, err
	}
	s := &Site{Folder: folder, lock: lock}
	if old, err := folder.read(); err == nil {
		folder.evict(ctx, old.Namespace)
	}
	if err := folder.clean(); err != nil {
		return nil, errors.Join(fmt.Errorf("clean up after the last rack: %w", err), s.Leave(ctx))
	}
	return s, nil
}

// Cable makes the networks, with the management node and the BMCs of the servers on them. A valid address is given to the
// management node's internal NIC; else that is left to racker. mtu is that of the switches and their ports, in bytes.
func (s *Site) Cable(management *rack.Node, servers []*rack.Node, address netip.Prefix, mtu int) error {
	var err error
	if s.Net, err = NewNetwork(management, servers, mtu); err != nil {
		return err
	}
	if s.nsID, err = s.Net.Management.inode(); err != nil {
		return err
	}
	if address.IsValid() {
		return s.Net.Management.Address(InternalInterface, address)
	}
	return nil
}

// Open binds the control socket and tells other processes where the management node is.
func (s *Site) Open(m Machines) error {
	var err error
	if s.control, err = newControl(s.Folder, m); err != nil {
		return err
	}
	return s.Folder.write(runState{PID: os.Getpid(), ManagementFD: int(s.Net.Management.file.Fd()), Namespace: s.nsID})
}

// Serve answers the control socket until ctx is done (nil) or the rack's end is asked for (ErrDown).
func (s *Site) Serve(ctx context.Context) error { return s.control.run(ctx) }

// Leave ends the programs on the management node, and gives everything back.
func (s *Site) Leave(ctx context.Context) error {
	var errs []error
	if s.nsID != 0 {
		s.Folder.evict(ctx, s.nsID)
	}
	if s.control != nil {
		errs = append(errs, s.control.close())
	}
	if s.Net != nil {
		errs = append(errs, s.Net.Close())
	}
	errs = append(errs, s.Folder.clean(), unix.Flock(int(s.lock.Fd()), unix.LOCK_UN), s.lock.Close())
	return errors.Join(errs...)
}

// Start starts a command on the management node: in its network namespace, with racker's paths in the environment. The
// caller waits for it.
func (s *Site) Start(cmd *exec.Cmd) error {
	cmd.Env = s.Folder.Environment(cmd.Environ())
	return s.Net.Management.Do(cmd.Start)
}

// Stranger makes a further machine with one NIC, eth0, on the internal network: one that is no node. The caller closes it.
func (s *Site) Stranger(mac rack.MAC, address netip.Prefix) (*Namespace, error) {
	ns, err := NewNamespace(false)
	if err != nil {
		return nil, err
	}
	port := fmt.Sprintf("guest%x", mac[3:])
	if err := s.Net.Plug(ns, "eth0", mac, port, BridgeInternal); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	if err := ns.Address("eth0", address); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

// ManagementAddress is the first host of the internal network.
func ManagementAddress(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(p.Masked().Addr().Next(), p.Bits())
}
