package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// threadNetwork is the network namespace of the calling thread.
const threadNetwork = "/proc/thread-self/ns/net"

// Namespace is a network namespace that lives as long as its file is open, or a process is in it.
type Namespace struct {
	file *os.File
	// links talks to the kernel inside the namespace.
	links *netlink.Handle
}

// NewNamespace makes an empty network namespace with its loopback up. With IPv6 off nothing but the rack's own programs
// speaks in it; a management node has it on, as real ones do.
func NewNamespace(ipv6 bool) (*Namespace, error) {
	n := &Namespace{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		f, err := os.Open(threadNetwork)
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		n.file = f
		for _, set := range []string{"all", "default"} {
			if ipv6 {
				break
			}
			if err := sysctl("ipv6/conf/"+set+"/disable_ipv6", "1"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.links, err = netlink.NewHandleAt(netns.NsHandle(n.file.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink in new namespace: %w", err), n.Close())
	}
	if err := n.Up("lo"); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close lets go of the namespace.
func (n *Namespace) Close() error {
	if n == nil || n.file == nil {
		return nil
	}
	if n.links != nil {
		n.links.Close()
	}
	return n.file.Close()
}

// Do runs fn on a thread inside the namespace. Sockets, files and processes that fn opens stay in it.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return fn()
	})
}

// Up sets an interface up.
func (n *Namespace) Up(name string) error {
	link, err := n.links.LinkByName(name)
	if err == nil {
		err = n.links.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set up interface %s: %w", name, err)
	}
	return nil
}

// Address gives an interface an address.
func (n *Namespace) Address(name string, addr netip.Prefix) error {
	link, err := n.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	a, err := netlink.ParseAddr(addr.String())
	if err == nil {
		err = n.links.AddrAdd(link, a)
	}
	if err != nil {
		return fmt.Errorf("give %s to interface %s: %w", addr, name, err)
	}
	return nil
}

// Sysctl writes a setting below net in the namespace, such as "ipv4/tcp_ecn". One that this kernel does not have, or that
// may not be written here, is no error.
func (n *Namespace) Sysctl(name, value string) error {
	return n.Do(func() error { return sysctl(name, value) })
}

// Links talks to the kernel inside the namespace.
func (n *Namespace) Links() *netlink.Handle { return n.links }

// File is the open namespace; it is open until Close.
func (n *Namespace) File() *os.File { return n.file }

// Tap makes a network interface whose other side is the returned file: Ethernet frames, each behind a virtio-net header
// (IFF_VNET_HDR). The interface goes when the last copy of the file is closed.
func (n *Namespace) Tap(name string) (*os.File, error) {
	var tap *os.File
	err := n.Do(func() error {
		fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", tunDevice, err)
		}
		tap = os.NewFile(uintptr(fd), tunDevice)
		req, err := unix.NewIfreq(name)
		if err != nil {
			return fmt.Errorf("make tap %s: %w", name, err)
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return fmt.Errorf("make tap %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		if tap != nil {
			tap.Close()
		}
		return nil, err
	}
	return tap, nil
}

// inode identifies the namespace on this host while it exists.
func (n *Namespace) inode() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(n.file.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat network namespace: %w", err)
	}
	return st.Ino, nil
}

// onThread runs fn on a thread of its own that returns to its network namespace afterwards. A thread that cannot
// return is given up: the runtime ends a thread whose locked goroutine ends.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- lockedThread(fn) }()
	return <-done
}

// lockedThread is onThread's goroutine. Where the way back fails the thread stays locked, and ends with the goroutine.
func lockedThread(fn func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNetwork)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer home.Close()
	err = fn()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// sysctl writes a setting of the calling thread's network namespace. One that this kernel does not have is no error.
func sysctl(name, value string) error {
	err := os.WriteFile(filepath.Join("/proc/sys/net", filepath.FromSlash(name)), []byte(value), 0)
	// A container may show /proc/sys read-only. What is set here keeps noise out of the rack, no more.
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("set net.%s: %w", strings.ReplaceAll(name, "/", "."), err)
	}
	return nil
}
