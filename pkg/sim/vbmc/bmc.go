package vbmc

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/racker-project/racker/pkg/rack"
)

// Port is the UDP port of IPMI.
const Port = 623

// Host is the machine behind a BMC. Its methods may be called by any goroutine, never two at a time by one BMC, and should
// return within a second: the BMC answers only then.
type Host interface {
	// PowerState tells whether the power is on.
	PowerState() bool
	// SetPower turns the power on or off at once; a state that is there already is no error.
	SetPower(on bool) error
	// Reset is a hard reset; the power is on.
	Reset() error
	// SoftOff presses the power button, for the operating system to shut down.
	SoftOff()
}

// Config is what a BMC is made of.
type Config struct {
	// Name is for logs, and the host name in DHCP.
	Name string
	// MAC is the BMC's own, which it tells in-band and over the network. Its interface must have it.
	MAC      rack.MAC
	User     string // at most 16 bytes
	Password string // at most 20 bytes
	// Suites are the cipher suites that it accepts; none means 17 and 3.
	Suites []int

	// NetNS is the network namespace of Interface, open as long as Run runs; nil is that of the process.
	NetNS *os.File
	// Interface is where it asks for an address by DHCP; it is up or is set up.
	Interface string
	// Listen, when valid, is a fixed address instead: no DHCP, and Interface does not matter. Port 0 takes any free port.
	Listen netip.AddrPort

	// Now is the clock of the boot flags; nil is time.Now.
	Now func() time.Time
}

// Faults are ways to misbehave.
type Faults struct {
	// Mute answers nothing over the network.
	Mute bool
	// DeafBoot says yes to boot flags and keeps those that were.
	DeafBoot bool
	// DeafPower says yes to power orders and does nothing.
	DeafPower bool
	// NoTimeout answers 80h to boot option parameter 3, so that the 60 s timeout of the boot flags cannot be cancelled.
	NoTimeout bool
}

// BMC is a virtual BMC. Its methods may be called by any goroutine.
type BMC struct {
	cfg   Config
	host  Host
	log   *slog.Logger
	ipmi  *bmc.BMC
	reg   *handlers.Registry
	flags *bootFlags

	power sync.Mutex  // held while an order goes to the host
	later chan func() // orders that the host itself gave in-band, for Run to carry out

	mu     sync.Mutex
	faults Faults
	addr   netip.AddrPort
	lan    lan
	ready  chan struct{} // closed when the first address is there
}

// lan is what Get LAN Configuration Parameters tells.
type lan struct {
	address netip.Prefix
	gateway netip.Addr
	dhcp    bool
}

// New gives a BMC; it opens nothing.
func New(cfg Config, host Host, log *slog.Logger) (*BMC, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.Suites) == 0 {
		cfg.Suites = []int{17, 3}
	}
	suites := make([]types.CipherSuiteID, 0, len(cfg.Suites))
	for _, n := range cfg.Suites {
		id := types.CipherSuiteID(n)
		if n < 0 || n > 255 || !bmc.SupportedCipherSuite(id) {
			return nil, fmt.Errorf("virtual BMC %s: cipher suite %d is not known", cfg.Name, n)
		}
		suites = append(suites, id)
	}
	if len(cfg.Password) > bmc.MaxPasswordLen || len(cfg.User) > bmc.MaxUserNameLen || cfg.User == "" {
		return nil, fmt.Errorf("virtual BMC %s: user must have 1 to %d bytes, password at most %d", cfg.Name, bmc.MaxUserNameLen, bmc.MaxPasswordLen)
	}
	b := &BMC{cfg: cfg, host: host, log: log.With("bmc", cfg.Name), flags: &bootFlags{now: cfg.Now}, later: make(chan func(), laterOrders), ready: make(chan struct{})}
	b.ipmi = bmc.New(identity(), guid(cfg.MAC), hardware{b}, bmc.WithCipherSuites(suites), bmc.WithV15Disabled())
	user, err := b.ipmi.Users.Add(userID, cfg.User)
	if err != nil {
		return nil, fmt.Errorf("virtual BMC %s: add user: %w", cfg.Name, err)
	}
	user.SetPassword([]byte(cfg.Password))
	user.Enabled = true
	user.ChannelAccess[lanChannel] = bmc.UserChannelAccess{MaxPrivilege: bmc.PrivilegeLevelAdministrator, Enabled: true}
	b.reg = b.commands()
	return b, nil
}

// userID is the number of the only user.
const userID = 2

// SetPassword gives the user another password, for sessions that begin from now on.
func (b *BMC) SetPassword(password string) error {
	if len(password) > bmc.MaxPasswordLen {
		return fmt.Errorf("virtual BMC %s: password must have at most %d bytes", b.cfg.Name, bmc.MaxPasswordLen)
	}
	err := b.ipmi.Users.Update(userID, func(u *bmc.User) error {
		u.SetPassword([]byte(password))
		return nil
	})
	if err != nil {
		return fmt.Errorf("virtual BMC %s: set password: %w", b.cfg.Name, err)
	}
	return nil
}

// laterOrders is how many in-band orders may wait.
const laterOrders = 4

// lanChannel is the channel number of the network interface.
const lanChannel = 1

// identity is what Get Device ID tells: IPMI 2.0, a chassis device, manufacturer unspecified.
func identity() bmc.DeviceInfo {
	return bmc.DeviceInfo{DeviceID: 0x20, DeviceRevision: 1, FirmwareMajor: 1, FirmwareMinor: 0x00, IPMIVersion: 0x02, AdditionalDeviceSupport: 0x80}
}

// guid gives each BMC an identity of its own that stays.
func guid(mac rack.MAC) (id [16]byte) {
	sum := sha256.Sum256(append([]byte("racker virtual BMC "), mac[:]...))
	copy(id[:], sum[:])
	return id
}

// SetFaults makes the BMC misbehave from now on, or behave again.
func (b *BMC) SetFaults(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = f
}

// fault gives what is set now.
func (b *BMC) fault() Faults {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults
}

// Addr is where it answers IPMI now; not valid while it has no address.
func (b *BMC) Addr() netip.AddrPort {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addr
}

// WaitAddr waits for the first address.
func (b *BMC) WaitAddr(ctx context.Context) (netip.AddrPort, error) {
	select {
	case <-b.ready:
		return b.Addr(), nil
	case <-ctx.Done():
		return netip.AddrPort{}, fmt.Errorf("virtual BMC %s: waiting for an address: %w", b.cfg.Name, ctx.Err())
	}
}

// setLAN notes an address, or with a zero prefix that there is none.
func (b *BMC) setLAN(l lan, port uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lan, b.addr = l, netip.AddrPort{}
	if !l.address.IsValid() {
		return
	}
	b.addr = netip.AddrPortFrom(l.address.Addr(), port)
	select {
	case <-b.ready:
	default:
		close(b.ready)
	}
}
