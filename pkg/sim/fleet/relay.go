package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	// vnetSize is the size of struct virtio_net_hdr, which each frame of a tap is behind: with it frames may be 64 KiB
	// large and have no checksum yet, so that image data costs little.
	vnetSize  = 10
	frameRoom = vnetSize + etherSize + 1<<16

	serverPort = 67
	clientPort = 68
)

// relay passes frames between the rack's internal network and the namespace of the servers' addresses.
type relay struct {
	outer    *os.File // on the internal bridge
	inner    *os.File // in the servers' namespace
	innerMAC rack.MAC
	// server and serverMAC are the management node's: all that servers talk to.
	server    netip.Addr
	serverMAC rack.MAC
	prefix    netip.Prefix
	log       *slog.Logger

	macs   map[rack.MAC]*port // not changed once the relay runs
	owners []atomic.Pointer[port]
	odd    atomic.Int64 // frames that were not taken by a tap
}

// newRelay makes a relay for the addresses of a prefix.
func newRelay(prefix netip.Prefix, serverMAC rack.MAC, log *slog.Logger) *relay {
	prefix = prefix.Masked()
	return &relay{
		prefix: prefix, server: prefix.Addr().Next(), serverMAC: serverMAC, log: log,
		macs: map[rack.MAC]*port{}, owners: make([]atomic.Pointer[port], 1<<(32-prefix.Bits())),
	}
}

// port adds a NIC; only before the relay runs.
func (r *relay) port(mac rack.MAC) *port {
	p := &port{mac: mac, relay: r}
	r.macs[mac] = p
	return p
}

// at gives the place of an address's owner, nil for an address outside the network.
func (r *relay) at(ip netip.Addr) *atomic.Pointer[port] {
	if !ip.Is4() || !r.prefix.Contains(ip) {
		return nil
	}
	a, base := ip.As4(), r.prefix.Addr().As4()
	return &r.owners[binary.BigEndian.Uint32(a[:])-binary.BigEndian.Uint32(base[:])]
}

// own changes who has an address, if was is who has it now.
func (r *relay) own(ip netip.Addr, was, is *port) {
	place := r.at(ip)
	if place == nil {
		return
	}
	if is != nil {
		place.Store(is) // the last who is sure of it, as with a real address conflict
		return
	}
	place.CompareAndSwap(was, nil)
}

// owner gives the NIC that has an address and a cable, or nil.
func (r *relay) owner(ip netip.Addr) *port {
	place := r.at(ip)
	if place == nil {
		return nil
	}
	p := place.Load()
	if p == nil || p.pulled.Load() {
		return nil
	}
	return p
}

// run passes frames until ctx is done, and closes both taps.
func (r *relay) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		_ = r.outer.SetReadDeadline(time.Unix(1, 0))
		_ = r.inner.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return r.pump(ctx, r.outer, r.fromBridge) })
	g.Go(func() error { return r.pump(ctx, r.inner, r.fromServers) })
	err := g.Wait()
	if n := r.odd.Load(); n > 0 {
		r.log.Warn("frames were not taken by a tap", "count", n)
	}
	return errors.Join(err, r.outer.Close(), r.inner.Close())
}

// pump reads frames; what is left of each belongs to handle until it returns.
func (r *relay) pump(ctx context.Context, tap *os.File, handle func(frame []byte)) error {
	buf := make([]byte, frameRoom)
	for {
		n, err := tap.Read(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read frames: %w", err)
		}
		if n > vnetSize+etherSize {
			handle(buf[:n])
		}
	}
}

// put writes a frame behind its virtio-net header.
func (r *relay) put(tap *os.File, b []byte) {
	if _, err := tap.Write(b); err != nil {
		r.odd.Add(1)
	}
}

// toBridge sends a frame of our own making.
func (r *relay) toBridge(frame []byte) {
	r.put(r.outer, append(make([]byte, vnetSize, vnetSize+len(frame)), frame...))
}

// fromBridge takes a frame off the internal network.
func (r *relay) fromBridge(b []byte) {
	frame := b[vnetSize:]
	switch etherType(frame) {
	case unix.ETH_P_ARP:
		r.arp(frame)
	case unix.ETH_P_IP:
		if len(frame) < etherSize+ipSize {
			return
		}
		if d, ok := parseDatagram(frame); ok && d.port == clientPort {
			r.dhcp(d.payload)
			return
		}
		p := r.owner(netip.AddrFrom4([4]byte(frame[etherSize+16 : etherSize+20])))
		if p == nil || rack.MAC(frame[:6]) != p.mac {
			return
		}
		copy(frame, r.innerMAC[:])
		r.put(r.inner, b)
	}
}

// fromServers takes a frame of the servers' IP stack, which knows no MAC but its own.
func (r *relay) fromServers(b []byte) {
	frame := b[vnetSize:]
	if etherType(frame) != unix.ETH_P_IP || len(frame) < etherSize+ipSize {
		return
	}
	p := r.owner(netip.AddrFrom4([4]byte(frame[etherSize+12 : etherSize+16])))
	if p == nil {
		return // it is off, or has another address by now
	}
	copy(frame, r.serverMAC[:])
	copy(frame[6:], p.mac[:])
	r.put(r.outer, b)
}

// arp answers for the NICs that have an address.
func (r *relay) arp(frame []byte) {
	a, ok := parseARP(frame)
	if !ok || a.op != arpRequest {
		return
	}
	if p := r.owner(a.ip); p != nil && p.mac != a.from {
		r.toBridge(arp{op: arpReply, from: p.mac, fromIP: a.ip, to: a.from, ip: a.fromIP}.frame())
	}
}

// dhcp hands an answer of the DHCP server to the NIC that it is for.
func (r *relay) dhcp(payload []byte) {
	in, err := dhcpv4.FromBytes(payload)
	if err != nil || in.OpCode != dhcpv4.OpcodeBootReply || len(in.ClientHWAddr) != len(rack.MAC{}) {
		return
	}
	if p := r.macs[rack.MACFrom(in.ClientHWAddr)]; p != nil {
		p.answer(in)
	}
}
