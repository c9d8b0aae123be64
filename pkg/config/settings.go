// Package config loads racker's settings: defaults, then /etc/racker/racker.yaml, then RACKER_* in the environment,
// then flags. It remembers where each value came from.
//
// It is the only package that reads settings from files and from the environment. It keeps nothing between calls.
package config

import (
	"net/netip"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

// Settings is everything that a site may set. Default gives the values that hold when nothing is set.
type Settings struct {
	// OEMDir holds nodes.csv, ipmi_user and ipmi_password.
	OEMDir string
	// StateDir holds state, images, microkernels and run logs.
	StateDir string
	// Socket is the path of the operator API's unix socket.
	Socket string
	// PayloadDir holds the iPXE programs and the GRUB image.
	PayloadDir string
	Internal   Internal
	// ManagementMAC names the management node's row when it is set; local interfaces are not looked at then.
	ManagementMAC rack.MAC
	DHCP          DHCPMode
	BMC           BMC
	Ports         Ports
	ChainIPXE     ChainMode
	Microkernel   Microkernel
	// Console is the kernel's console= argument of servers, such as ttyS1,57600n8; empty means the kernel's choice.
	Console string
	Log     Log
	// Deadlines bound the steps of a node; its progress moves Stalled on.
	Deadlines Deadlines
	Limits    Limits
	Image     Image
	// SNTP says whether racker tells the nodes the time.
	SNTP  SNTPMode
	Names Names

	// Origin tells by the name of a setting (internal.interface) what set it; nothing means the default.
	Origin map[string]string
}

// Internal is the rack-internal network.
type Internal struct {
	// Interface wins over the management node's secondary MAC when it is set.
	Interface string
	// Prefix is between /16 and /26.
	Prefix netip.Prefix
}

// Names are the files of this machine in which the commands of root keep the nodes' names and host keys; "" for none.
type Names struct {
	Hosts      string // as hosts(5)
	KnownHosts string // as sshd(8) has it
}

// BMC says how BMCs get their addresses.
type BMC struct {
	Mode BMCMode
	// Network holds the BMCs' own addresses in mode static; it may be routed.
	Network netip.Prefix
}

// Ports are the ports that servers talk to, 1 to 65535.
type Ports struct {
	DHCP, TFTP, HTTP, HTTPS int
}

// Microkernel is what servers boot to be installed.
type Microkernel struct {
	// Args are further words of its kernel command line.
	Args []string
	// Default is the ID of the microkernel that servers boot; empty means the newest.
	Default string
}

// Deadlines are how long a node may take, from 1 s to a day each.
type Deadlines struct {
	CheckBMC time.Duration // until its BMC answered; it may need a lease first
	Power    time.Duration // off, boot device, on
	Netboot  time.Duration // from power on to the agent's check-in
	Agent    time.Duration // from check-in to the first write
	// Disks is how long the table of disks to be erased waits for a further server after the last one that showed its disks.
	Disks   time.Duration
	Stalled time.Duration // without progress while the image is written
	Boot    time.Duration // from the reboot to ready
	// Retry is the pause before a server's second attempt, from 0 to an hour; it doubles with each further one.
	Retry time.Duration
}

// Limits bound what is done at a time.
type Limits struct {
	// PowerInterval is the time between two power-ons, from 0 to a minute: a rack's supply need not carry all at once.
	PowerInterval time.Duration
	// ImageStreams is how many servers read an image at a time; 0 for any number.
	ImageStreams int
}

// Log says what is logged and how.
type Log struct {
	Level  LogLevel
	Format LogFormat
}

// DHCPMode says how much DHCP racker does on the internal network.
type DHCPMode string

// Modes of DHCP. This version refuses DHCPProxy.
const (
	DHCPFull  DHCPMode = "full"
	DHCPProxy DHCPMode = "proxy"
	DHCPOff   DHCPMode = "off"
)

// SNTPMode says whether racker serves the time on the internal network.
type SNTPMode string

// Modes of SNTP: unless another program has the port, or never.
const (
	SNTPAuto SNTPMode = "auto"
	SNTPOff  SNTPMode = "off"
)

// BMCMode says where the addresses of BMCs come from.
type BMCMode string

// Modes of BMC addressing: leased by racker, or set in the BMC and listed in the BMC Address column.
const (
	BMCLeased BMCMode = "dhcp"
	BMCStatic BMCMode = "static"
)

// ChainMode says when racker's own iPXE is loaded by a firmware that is iPXE already.
type ChainMode string

// Modes of chaining: only where the firmware's iPXE lacks what is needed, or in every boot.
const (
	ChainAuto   ChainMode = "auto"
	ChainAlways ChainMode = "always"
)

// LogLevel is the least severity that is logged.
type LogLevel string

// Levels, as package slog names them.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// LogFormat is how a log line looks.
type LogFormat string

// Formats: auto is text on a terminal, else JSON.
const (
	LogAuto LogFormat = "auto"
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// DefaultFile is read when no other file is named; it need not exist.
const DefaultFile = "/etc/racker/racker.yaml"

// Default gives the settings of a site that sets nothing.
func Default() Settings {
	return Settings{
		OEMDir:     "/usr/share/oem",
		StateDir:   "/var/lib/racker",
		Socket:     "/run/racker/racker.sock",
		PayloadDir: "/opt/racker/current/payload",
		Internal:   Internal{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 24, 213, 0}), 24)},
		DHCP:       DHCPFull,
		BMC:        BMC{Mode: BMCLeased},
		Ports:      Ports{DHCP: 67, TFTP: 69, HTTP: 8080, HTTPS: 8443},
		ChainIPXE:  ChainAuto,
		Log:        Log{Level: LogInfo, Format: LogAuto},
		Deadlines: Deadlines{
			CheckBMC: 3 * time.Minute, Power: 2 * time.Minute, Netboot: 15 * time.Minute,
			Agent: 5 * time.Minute, Disks: 3 * time.Minute, Stalled: 5 * time.Minute, Boot: 15 * time.Minute, Retry: 5 * time.Second,
		},
		Image:  defaultImage(),
		SNTP:   SNTPAuto,
		Names:  Names{Hosts: "/etc/hosts", KnownHosts: "/etc/ssh/ssh_known_hosts"},
		Limits: Limits{PowerInterval: 100 * time.Millisecond, ImageStreams: 64},
	}
}
