// Package dhcpd is racker's DHCPv4 server: authoritative on the rack's internal network, with reservations for
// servers and BMCs, a pool for machines that it does not know, relay agents, and the options by which PXE, UEFI HTTP
// boot and iPXE clients find their boot file (RFC 2131, 2132, 3046, 4578, 6842; PXE 2.1).
//
// It does not decide who boots what: every server with a reservation gets a boot program, and what the program does
// is told by the script that it fetches. Machines without a reservation that ask for a boot program get silence.
//
// It also tells machines with a reservation that there is no IPv6 router, which iPXE otherwise waits for.
//
// Run owns a reading goroutine for each of the two and a fixed number of packet workers, and waits for all of them.
package dhcpd

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Defaults of Config.
const (
	DefaultPort          = 67
	DefaultHTTPPort      = 8080
	DefaultScriptPath    = "/boot.ipxe"
	DefaultAssetPath     = "/assets/ipxe/"
	DefaultReservedLease = 24 * time.Hour
	DefaultPoolLease     = 2 * time.Minute
	// minLease is the shortest lease that clients cope with; T1 and T2 are whole seconds of it.
	minLease = 10 * time.Second
)

// Config says where the server listens and what it gives out.
type Config struct {
	// Interface is the internal interface; the socket is bound to it. Required.
	Interface string
	// Server is the server's own address on that interface: option 54, next-server. Required, inside Prefix.
	Server netip.Addr
	// Prefix is the internal network; its mask is option 1. Required, IPv4, /8 to /30.
	Prefix netip.Prefix
	// PoolFirst and PoolLast bound the addresses for unknown machines, both included. Both zero: no pool.
	PoolFirst, PoolLast netip.Addr
	// ReservedLease and PoolLease are option 51 for reservations and pool addresses; whole seconds, from 10 s. Zero
	// means 24 hours and 2 minutes.
	ReservedLease, PoolLease time.Duration
	// HTTPPort is the port of boot scripts and assets on Server. Zero means 8080.
	HTTPPort int
	// ScriptPath is the path of the script that iPXE is sent to; empty means /boot.ipxe.
	ScriptPath string
	// AssetPath is the path below which HTTP serves the iPXE programs, for UEFI HTTP boot; empty means /assets/ipxe/.
	AssetPath string
	// ChainAlways sends also an iPXE that can do HTTP (a NIC's ROM) to racker's own iPXE program, once per boot.
	ChainAlways bool
	// Port is the port to listen on; clients are answered on the next one (67 and 68). Zero means 67.
	Port int
	// Conn is a socket that is bound already, by systemd for one; Listen then takes it. It must allow broadcasts.
	Conn *net.UDPConn
}

func (c *Config) setDefaults() {
	c.ReservedLease = cmp.Or(c.ReservedLease, DefaultReservedLease)
	c.PoolLease = cmp.Or(c.PoolLease, DefaultPoolLease)
	c.HTTPPort = cmp.Or(c.HTTPPort, DefaultHTTPPort)
	c.ScriptPath = cmp.Or(c.ScriptPath, DefaultScriptPath)
	c.AssetPath = cmp.Or(c.AssetPath, DefaultAssetPath)
	c.Port = cmp.Or(c.Port, DefaultPort)
	c.Prefix = c.Prefix.Masked()
}

// validate reports all that is wrong, joined.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Interface == "" {
		bad("interface: none given")
	}
	if !c.Prefix.IsValid() || !c.Prefix.Addr().Is4() || c.Prefix.Bits() < 8 || c.Prefix.Bits() > 30 {
		bad("prefix %s: want an IPv4 network from /8 to /30", c.Prefix)
		return errors.Join(errs...)
	}
	if !c.host(c.Server) {
		bad("server address %s: not a host of %s", c.Server, c.Prefix)
	}
	c.validatePool(bad)
	if c.ReservedLease < minLease || c.PoolLease < minLease {
		bad("lease times %s and %s: want %s or more", c.ReservedLease, c.PoolLease, minLease)
	}
	for name, port := range map[string]int{"port": c.Port, "http port": c.HTTPPort} {
		if port < 1 || port > 65534 {
			bad("%s %d: want 1 to 65534", name, port)
		}
	}
	if n := len(c.scriptURL()); n > maxFile {
		bad("script URL of %d bytes: the boot file field has room for %d", n, maxFile)
	}
	return errors.Join(errs...)
}

func (c *Config) validatePool(bad func(format string, args ...any)) {
	if !c.PoolFirst.IsValid() && !c.PoolLast.IsValid() {
		return
	}
	switch {
	case !c.host(c.PoolFirst) || !c.host(c.PoolLast):
		bad("pool %s-%s: not inside %s", c.PoolFirst, c.PoolLast, c.Prefix)
	case c.PoolLast.Less(c.PoolFirst):
		bad("pool %s-%s: ends before it begins", c.PoolFirst, c.PoolLast)
	}
}

// host tells whether ip is an address that a machine of the prefix can have.
func (c *Config) host(ip netip.Addr) bool {
	return ip.Is4() && c.Prefix.Contains(ip) && ip != c.Prefix.Addr() && ip != broadcastOf(c.Prefix)
}

// maxFile is the room of the BOOTP field "file", which ends with a NUL (RFC 2131 2).
const maxFile = 127

func (c *Config) scriptURL() string { return c.url(c.ScriptPath) }

func (c *Config) url(path string) string {
	return fmt.Sprintf("http://%s%s", netip.AddrPortFrom(c.Server, uint16(c.HTTPPort)), path)
}

// broadcastOf gives the last address of an IPv4 prefix.
func broadcastOf(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(a)
}
