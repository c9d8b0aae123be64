package provision

import (
	"context"
	"net/netip"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// BMCs drives the BMC of a node. All methods retry what is worth it within ctx, verify what they changed, and give
// errors that name the node.
type BMCs interface {
	Power(ctx context.Context, n *rack.Node, addr netip.Addr) (api.Power, error)
	// SetPower is idempotent: it returns once the reading agrees.
	SetPower(ctx context.Context, n *rack.Node, addr netip.Addr, on bool) error
	// SoftOff asks the operating system to shut down, and returns when the power reads off, or with an error.
	SoftOff(ctx context.Context, n *rack.Node, addr netip.Addr) error
	// SetBoot makes the network or the disk the persistent boot device, and reads it back.
	SetBoot(ctx context.Context, n *rack.Node, addr netip.Addr, network, efi bool) error
	// Silent reports whether err means that the BMC did not answer; a later attempt may find it.
	Silent(err error) bool
	// Refused reports whether err means that the BMC refused the credentials; no further attempt is made, since that may
	// lock the account.
	Refused(err error) bool
}

// Images gives what there is to install.
type Images interface {
	Get(ctx context.Context, idOrName string) (*image.Manifest, error)
	// Profile says what kind of image it is.
	Profile(ctx context.Context, m *image.Manifest) (*image.Profile, error)
}

// Neighbours tells whose MAC the kernel sees behind an address of the internal network.
type Neighbours interface {
	Neighbour(ctx context.Context, addr netip.Addr) (rack.MAC, error)
}

// NodeConfig is what a node's Ignition config is made of.
type NodeConfig struct {
	HostName    string
	SSHKeys     []string // of the core user
	InternalMAC string
	// CallbackURL ends in a slash; the signal's name follows.
	CallbackURL   string
	CallbackToken string
	CAPEM         []byte // of the callback's server
	HostKey       []byte // the node's SSH host key, as PEM
	RackKey       string // racker's own line of core's authorized_keys
	// Profile says how the image takes its config, and of which version.
	Profile *image.Profile
	// Names are lines of /etc/hosts for the cluster's nodes; for a node with a declared config only.
	Names []byte
	// Declared is what the cluster's folder says of the node, merged over racker's own part; nil when nothing does.
	Declared *api.NodeConfig
}

// Render makes the Ignition config of a node.
type Render func(ctx context.Context, n NodeConfig) ([]byte, error)

// Publisher takes events; it never blocks.
type Publisher interface {
	Publish(e event.Event) event.Event
}

// Metadata gives the rack as nodes.csv says now, with its address plan. It is asked at start and before each run.
type Metadata interface {
	// Load reads nodes.csv. moved tells for old MACs which new ones take over their address and name, once the file has
	// the new and no longer the old.
	Load(ctx context.Context, moved map[rack.MAC]rack.MAC) (*rack.Rack, *rack.Plan, error)
}

// Heard is what was heard of a machine on the internal network last, besides DHCP to racker; the zero value for nothing.
type Heard struct {
	At   time.Time
	What string    // "ARP", "IPv6", "DHCP", ...
	VLAN int       // of its tag, 1 to 4094; 0 without one
	LACP time.Time // when it last spoke LACP; zero for never
}

// Frames tells what else than DHCP was heard of a machine on the internal network.
type Frames interface {
	Heard(mac rack.MAC) Heard
}

// Auditor keeps what was done, durably and in order.
type Auditor interface {
	Append(e api.AuditEntry) (api.AuditEntry, error)
}

// History is what happened, from before the daemon was started as well.
type History interface {
	// Node gives the newest facts of a node by its primary MAC, at most limit, oldest first.
	Node(mac string, limit int) []event.Event
	// Unknown gives one event for each machine that nodes.csv did not list and that was seen since.
	Unknown(since time.Time) []event.Event
}

// Config says how this rack is provisioned.
type Config struct {
	Server      netip.Addr // the management node on the internal network
	Interface   string
	Network     netip.Prefix
	HTTPPort    int
	HTTPSPort   int
	Pin         string // of the CA, for the agent
	CAPEM       []byte
	Microkernel func() (Microkernel, error)
	KernelArgs  []string
	LogDir      string // one log per node below it
	Version     string
	Deadlines   Deadlines
	// PowerInterval is the time between two power-ons; 0 for none.
	PowerInterval time.Duration
	// ImageStreams is how many nodes read an image at a time; 0 for any number.
	ImageStreams int
	// RetryPause is the pause before a node's second attempt; it doubles with each further one.
	RetryPause time.Duration
	// SSHPort is where sshd of installed nodes listens; 0 means 22.
	SSHPort uint16
}

// Microkernel names the files that a node boots, as paths below /assets/.
type Microkernel struct {
	ID     string
	Kernel string
	Initrd string
}

// Deadlines bound the steps. Progress moves the deadline of Installing on.
type Deadlines struct {
	CheckBMC time.Duration // all attempts at one BMC; a BMC may need a DHCP lease first
	Power    time.Duration // off, boot device, on
	Netboot  time.Duration // power on to check-in
	Agent    time.Duration // check-in to the first write
	Disks    time.Duration // the table of disks waits for a further node after the last one that showed its disks
	Stalled  time.Duration // no progress while writing
	Boot     time.Duration // reboot to ready
	Reach    time.Duration // all attempts to reach a running node over SSH; 0 for a minute
}
