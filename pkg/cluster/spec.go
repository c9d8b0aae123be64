package cluster

import (
	"net/netip"

	"github.com/racker-project/racker/pkg/rack"
)

// Spec is all that cluster.yaml says of one node, resolved with its row and the address plan.
type Spec struct {
	// Name is the host name, lower case.
	Name string
	// MAC is that of the primary NIC, which boots and is on the internal network.
	MAC  rack.MAC
	Type string
	// Line is that of the node's entry in cluster.yaml; 0 when it has none.
	Line int

	Image   Image
	SSHKeys []string // lines of authorized_keys, each once
	Network Network
	// Internal is the rack-internal network as this node sees it.
	Internal Internal

	Disk      DiskRule
	Wipe      string // install-disk, all or none
	WipeOldOS bool
	// WipeForeign allows an install disk with what no OS image put there.
	WipeForeign bool

	Console    string   // empty means what the firmware says
	KernelArgs []string // flatcar.autologin among them where autologin is on
	Updates    string   // UpdatesOff, UpdatesNoReboot or UpdatesReboot
	Sysctls    []Sysctl // by name
	// Hosts are more names for /etc/hosts, by address.
	Hosts []Host
	// Health is a command for a shell on the node that succeeds when the node is well; empty for none.
	Health string
	// Snippets are the operator's Butane files for this node, in the order in which they are merged: those for all nodes, for
	// its type and for itself. Names are relative to the folder.
	Snippets []string
	// IgnoreChanges freezes the node: nothing is applied to it.
	IgnoreChanges bool
}

// Image says which image a node gets. Name is an ID or a name of racker's library; Channel and Version are what is pulled,
// and wanted in status, where the image is Flatcar's.
type Image struct{ Name, Channel, Version string }

// Internal is the rack-internal network of a node.
type Internal struct {
	Address netip.Prefix // the node's address with the network's length
	Server  netip.Addr   // the management node
	// Ports are those at the server that a node may reach, besides SNTP (UDP 123).
	Ports []int
}

// Sysctl is one kernel parameter.
type Sysctl struct{ Name, Value string }

// Host is one line of /etc/hosts.
type Host struct {
	Addr  netip.Addr
	Names []string
}

// Words of Spec.Updates.
const (
	UpdatesOff      = "off"       // the default: nothing updates or reboots by itself
	UpdatesNoReboot = "no-reboot" // updates are fetched and staged, and take effect at a reboot that somebody else orders
	UpdatesReboot   = "reboot"    // Flatcar updates and reboots when it likes
)

// Words of Spec.Wipe.
const (
	WipeInstallDisk = "install-disk"
	WipeAll         = "all"
	WipeNone        = "none"
)

// DiskRule picks the install disk; the zero value is the smallest disk that the image fits on. All that is set must fit, and of
// the disks that do the smallest is taken.
type DiskRule struct {
	Name       string // a WWN, a serial or a by-path name, whichever fits
	WWN        string
	Serial     string
	ByPath     string // below /dev/disk/by-path
	Model      string // as the disk says, * stands for anything
	MinSize    int64  // bytes; 0 for any
	MaxSize    int64  // bytes; 0 for any
	Rotational *bool  // nil for either
}

// Network is a node's network besides the internal one.
type Network struct {
	// None means that the node has none.
	None bool
	// NICs are those that have addresses, routes or an MTU of their own; no member of a bond is among them, but the boot NIC
	// may be.
	NICs  []NIC
	Bonds []Bond
	VLANs []VLAN

	DNS    []netip.Addr
	Search []string
	NTP    []string // names or addresses of time servers, asked before racker

	at pos
}

// NIC is a physical interface.
type NIC struct {
	MAC rack.MAC
	Link
}

// Bond joins NICs.
type Bond struct {
	Name    string // of the interface
	Mode    string // Bond802 or BondActiveBackup
	Members []rack.MAC
	// LACPRate is fast or slow; only with Bond802.
	LACPRate string
	// Primary is the member that carries the traffic while it can; zero for any. Only with BondActiveBackup.
	Primary rack.MAC
	Link
}

// Words of Bond.Mode.
const (
	Bond802          = "802.3ad"
	BondActiveBackup = "active-backup"
)

// VLAN is an interface for the tagged frames of a NIC or bond.
type VLAN struct {
	Name string // of the interface
	ID   int    // 1 to 4094
	// Parent is the name of a bond; empty where it is ParentMAC's NIC.
	Parent    string
	ParentMAC rack.MAC
	Link
}

// Link is what every interface may have.
type Link struct {
	DHCP      string // DHCPOff, DHCPOn, DHCPv4 or DHCPv6
	Addresses []netip.Prefix
	Gateways  []netip.Addr // one per family at most
	Routes    []Route
	MTU       int // 0 leaves it to the kernel

	at pos
}

// Words of Link.DHCP.
const (
	DHCPOff = ""
	DHCPOn  = "yes" // IPv4, and IPv6 as routers advertise it
	DHCPv4  = "ipv4"
	DHCPv6  = "ipv6"
)

// Route is a static route.
type Route struct {
	To     netip.Prefix
	Via    netip.Addr
	Metric int // 0 leaves it to the kernel
}

// Public reports whether the link brings addresses, by DHCP or its own.
func (l *Link) Public() bool { return l.DHCP != DHCPOff || len(l.Addresses) > 0 }

// Addresses gives every static public address of the node, in the order of the file.
func (s *Spec) Addresses() []netip.Addr {
	var out []netip.Addr
	for l := range s.Network.links() {
		for _, a := range l.Addresses {
			out = append(out, a.Addr())
		}
	}
	return out
}

// links gives every link of the network.
func (n *Network) links() func(yield func(*Link) bool) {
	return func(yield func(*Link) bool) {
		for i := range n.NICs {
			if !yield(&n.NICs[i].Link) {
				return
			}
		}
		for i := range n.Bonds {
			if !yield(&n.Bonds[i].Link) {
				return
			}
		}
		for i := range n.VLANs {
			if !yield(&n.VLANs[i].Link) {
				return
			}
		}
	}
}

// BondOf gives the bond that a NIC is a member of; nil for none.
func (n *Network) BondOf(mac rack.MAC) *Bond {
	for i := range n.Bonds {
		for _, m := range n.Bonds[i].Members {
			if m == mac {
				return &n.Bonds[i]
			}
		}
	}
	return nil
}
