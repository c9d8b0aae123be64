package fleet

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/rack"
)

// port is one NIC on the internal network: a MAC, and an address while it has one. Its methods may be called from any
// goroutine.
type port struct {
	mac   rack.MAC
	relay *relay
	// pulled tells that there is no cable.
	pulled atomic.Bool

	mu      sync.Mutex
	ip      netip.Addr
	waiting chan *dhcpv4.DHCPv4 // of the exchange under way, nil without one
	xid     dhcpv4.TransactionID
}

// send puts a frame on the wire.
func (p *port) send(frame []byte) {
	if !p.pulled.Load() {
		p.relay.toBridge(frame)
	}
}

// configure makes an address the NIC's, or with an invalid one takes it away. A system that gets one asks for the server's
// MAC, before it says anything.
func (p *port) configure(ip netip.Addr) {
	p.mu.Lock()
	old := p.ip
	p.ip = ip
	p.mu.Unlock()
	if old != ip {
		p.relay.own(old, p, nil)
		p.relay.own(ip, nil, p)
	}
	if ip.IsValid() {
		p.send(arp{op: arpRequest, from: p.mac, fromIP: ip, ip: p.relay.server}.frame())
	}
}

// address is what configure was given last.
func (p *port) address() netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ip
}

// listen begins to take the answers to a DHCP exchange; nil ends it.
func (p *port) listen(xid dhcpv4.TransactionID, to chan *dhcpv4.DHCPv4) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.xid, p.waiting = xid, to
}

// answer hands a DHCP answer to the exchange that waits for it. A full channel drops it, as a NIC would.
func (p *port) answer(in *dhcpv4.DHCPv4) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil || p.xid != in.TransactionID || p.pulled.Load() {
		return
	}
	select {
	case p.waiting <- in:
	default:
	}
}
