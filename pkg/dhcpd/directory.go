package dhcpd

import (
	"context"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/rack"
)

// Reservation is what the rack's plan says of one MAC.
type Reservation struct {
	// IP is the machine's fixed address. An invalid one means that the machine is known, but gets no address here.
	IP netip.Addr
	// Boot tells that the machine may boot from the network: true for servers, false for BMCs.
	Boot bool
	// HostName is option 12; empty sends none.
	HostName string
}

// Directory knows the rack's machines. It is asked for each packet, from several goroutines, and must not block.
type Directory interface {
	Lookup(mac rack.MAC) (Reservation, bool)
}

// Lease is an address of the pool that a machine holds or held.
type Lease struct {
	MAC rack.MAC   `json:"mac"`
	IP  netip.Addr `json:"ip"`
	// Expires is when the address becomes free, in wall-clock time. A lease that ran out is remembered, so that the
	// same machine gets the same address as long as nobody else needed it.
	Expires time.Time `json:"expires"`
	// HostName is what the client called itself in option 12; cleaned of what is no host name.
	HostName string `json:"host_name,omitempty"`
	// Declined tells that a client found the address in use (DHCPDECLINE); MAC is then the client that said so, and
	// nobody gets the address before Expires.
	Declined bool `json:"declined,omitempty"`
}

// PoolStore keeps pool leases over restarts of the daemon.
type PoolStore interface {
	// Load gives all leases that were saved, one per address.
	Load(ctx context.Context) ([]Lease, error)
	// Save writes leases, each under its address, durably: an ACK is sent only after it returned nil.
	Save(ctx context.Context, leases ...Lease) error
}

// Programs tells which boot programs can be served.
type Programs interface {
	Has(name string) bool
}

// Seen is one packet and what became of it.
type Seen struct {
	MAC rack.MAC
	XID string
	// Type is the client's message, Reply the server's; Reply is MessageTypeNone for silence.
	Type, Reply dhcpv4.MessageType
	// IP is the address that was offered, acknowledged, refused (NAK) or given up.
	IP     netip.Addr
	Client pxe.Client
	// Relay is the relay agent's address (giaddr); invalid without one.
	Relay netip.Addr
	// File is the boot file that was offered: a name for TFTP or a URL.
	File string
	// Known tells that the directory has a reservation for MAC.
	Known bool
	// HostName is option 12 of the client.
	HostName string
	// Ignored says why there was no reply; empty when there was one, or when none is due (RELEASE, DECLINE).
	Ignored string
	// Problem is a diagnosis that a person should see, in one sentence: no boot program for this architecture, an
	// address in use by somebody else, a pool that is full.
	Problem string
}

// Observer hears of every packet that could be parsed. It is called from several goroutines and must not block.
type Observer interface {
	Packet(ctx context.Context, s Seen)
}

// LeaseInfo is a lease as the operator sees it.
type LeaseInfo struct {
	MAC      rack.MAC
	IP       netip.Addr
	HostName string
	Expires  time.Time
	// Reserved tells that the address is the machine's own, by the directory.
	Reserved bool
}
