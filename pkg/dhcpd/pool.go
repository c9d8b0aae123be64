package dhcpd

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	// offerHold is how long an offered address is kept for the client that it was offered to.
	offerHold = 30 * time.Second
	// quarantine is how long a declined address is not given out.
	quarantine = 10 * time.Minute
)

// entry is an address of the pool that was offered or leased at some time. offered tells that no ACK was sent yet;
// such an entry is neither saved nor shown.
type entry struct {
	Lease
	offered bool
}

// pool gives out the addresses for unknown machines. Its size bounds the memory: it keeps one entry per address.
type pool struct {
	mu          sync.Mutex
	first, last netip.Addr
	except      netip.Addr // the server's own
	lease       time.Duration
	byIP        map[netip.Addr]*entry
	byMAC       map[rack.MAC]netip.Addr
	next        netip.Addr // the lowest address that was never given out, or invalid
	fullUntil   time.Time  // no entry runs out before; spares a search per packet when the pool is full
}

func newPool(cfg *Config) *pool {
	return &pool{
		first: cfg.PoolFirst, last: cfg.PoolLast, except: cfg.Server, lease: cfg.PoolLease, next: cfg.PoolFirst,
		byIP: map[netip.Addr]*entry{}, byMAC: map[rack.MAC]netip.Addr{},
	}
}

func (p *pool) enabled() bool { return p.first.IsValid() }

func (p *pool) contains(ip netip.Addr) bool {
	return p.enabled() && ip.Is4() && !ip.Less(p.first) && !p.last.Less(ip) && ip != p.except
}

// restore takes the leases that were saved. What is outside the pool, because its bounds changed, is dropped.
func (p *pool) restore(leases []Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range leases {
		if p.contains(l.IP) && !l.MAC.IsZero() {
			p.put(&entry{Lease: l})
		}
	}
}

// put makes e the entry of its address; a MAC has one address at most, declined ones aside.
func (p *pool) put(e *entry) {
	if old := p.byIP[e.IP]; old != nil && p.byMAC[old.MAC] == e.IP {
		delete(p.byMAC, old.MAC)
	}
	p.byIP[e.IP] = e
	if !e.Declined {
		p.byMAC[e.MAC] = e.IP
	}
}

// of gives the entry of a MAC, run out or not.
func (p *pool) of(mac rack.MAC) *entry {
	ip, ok := p.byMAC[mac]
	if !ok {
		return nil
	}
	return p.byIP[ip]
}

// offer finds an address for a MAC: the one it had, the one it asks for, one that nobody ever had, or the one that ran
// out longest ago.
func (p *pool) offer(mac rack.MAC, want netip.Addr, at time.Time) (netip.Addr, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.of(mac); e != nil {
		if e.Expires.Before(at.Add(offerHold)) {
			e.offered = e.offered || !e.Expires.After(at)
			e.Expires = at.Add(offerHold)
		}
		return e.IP, true
	}
	ip, ok := want, p.free(want, at)
	if !ok {
		ip, ok = p.search(at)
	}
	if !ok {
		return netip.Addr{}, false
	}
	p.put(&entry{Lease: Lease{MAC: mac, IP: ip, Expires: at.Add(offerHold)}, offered: true})
	return ip, true
}

// free tells whether an address can be given to anybody.
func (p *pool) free(ip netip.Addr, at time.Time) bool {
	if !p.contains(ip) {
		return false
	}
	e := p.byIP[ip]
	return e == nil || !e.Expires.After(at)
}

func (p *pool) search(at time.Time) (netip.Addr, bool) {
	for ; p.next.IsValid() && !p.last.Less(p.next); p.next = p.next.Next() {
		if p.contains(p.next) && p.byIP[p.next] == nil {
			return p.next, true
		}
	}
	p.next = netip.Addr{}
	if at.Before(p.fullUntil) {
		return netip.Addr{}, false
	}
	var oldest *entry
	for _, e := range p.byIP {
		if oldest == nil || e.Expires.Before(oldest.Expires) {
			oldest = e
		}
	}
	if oldest == nil {
		return netip.Addr{}, false
	}
	if oldest.Expires.After(at) {
		p.fullUntil = oldest.Expires
		return netip.Addr{}, false
	}
	return oldest.IP, true
}

// claim is what became of a REQUEST for a pool address.
type claim int

const (
	claimed      claim = iota
	claimRefused       // the address is somebody else's, or the client has another one
	claimUnheard       // nothing is known of the client or the address
)

// take leases ip to a MAC. selected tells that the client answers an offer of this server; otherwise it wants what it
// believes to have (INIT-REBOOT, RENEWING, REBINDING).
func (p *pool) take(mac rack.MAC, ip netip.Addr, host string, selected bool, at time.Time) (Lease, claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.of(mac)
	if mine == nil || mine.IP != ip {
		switch {
		case selected && mine == nil && p.free(ip, at): // its offer ran out, and the address is still there
			mine = &entry{Lease: Lease{MAC: mac, IP: ip}}
		case selected || mine != nil:
			return Lease{}, claimRefused
		case p.byIP[ip] != nil && !p.free(ip, at):
			return Lease{}, claimRefused
		default:
			return Lease{}, claimUnheard
		}
	}
	e := &entry{Lease: Lease{MAC: mac, IP: ip, Expires: at.Add(p.lease), HostName: cmp.Or(host, mine.HostName)}}
	p.put(e)
	return e.Lease, claimed
}

// withdraw takes back an offer that the client did not choose.
func (p *pool) withdraw(mac rack.MAC, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.of(mac); e != nil && e.offered {
		p.expire(e, at)
	}
}

// release ends a lease of a MAC; ip may be invalid for whichever it has. The lease as it is to be saved is given.
func (p *pool) release(mac rack.MAC, ip netip.Addr, at time.Time) (Lease, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.of(mac)
	if e == nil || (ip.IsValid() && e.IP != ip) || !e.Expires.After(at) {
		return Lease{}, false
	}
	p.expire(e, at)
	return e.Lease, !e.offered
}

func (p *pool) expire(e *entry, at time.Time) {
	e.Expires = at
	p.fullUntil = time.Time{}
}

// decline puts an address into quarantine, if it was given to the MAC that complains.
func (p *pool) decline(mac rack.MAC, ip netip.Addr, at time.Time) (Lease, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.of(mac)
	if e == nil || e.IP != ip {
		return Lease{}, false
	}
	bad := &entry{Lease: Lease{MAC: mac, IP: ip, Expires: at.Add(quarantine), Declined: true}}
	p.put(bad)
	return bad.Lease, true
}

// current gives the leases that run, by address.
func (p *pool) current(at time.Time) []Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Lease
	for _, e := range p.byIP {
		if !e.offered && e.Expires.After(at) {
			out = append(out, e.Lease)
		}
	}
	slices.SortFunc(out, func(a, b Lease) int { return a.IP.Compare(b.IP) })
	return out
}

// cleanHostName keeps of a client's option 12 what can be a host name (RFC 1123 2.1), 63 bytes at most.
func cleanHostName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 63)]
}
