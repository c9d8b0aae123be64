package dhcpd

import (
	"slices"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

// reserved remembers which reservations were acknowledged and until when, for CurrentLeases alone: whether a machine
// may have its address is the directory's to say.
type reserved struct {
	mu  sync.Mutex
	mac map[rack.MAC]LeaseInfo
}

func (r *reserved) begin(l LeaseInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mac[l.MAC] = l
}

func (r *reserved) end(mac rack.MAC) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mac, mac)
}

// CurrentLeases gives the leases that have not run out, by address. Leases of reservations are known since the start
// of the process only.
func (s *Server) CurrentLeases() []LeaseInfo {
	return s.leasesAt(time.Now())
}

func (s *Server) leasesAt(at time.Time) []LeaseInfo {
	var out []LeaseInfo
	for _, l := range s.pool.current(at) {
		if !l.Declined {
			out = append(out, LeaseInfo{MAC: l.MAC, IP: l.IP, HostName: l.HostName, Expires: l.Expires})
		}
	}
	s.reserved.mu.Lock()
	for _, l := range s.reserved.mac {
		if l.Expires.After(at) {
			out = append(out, l)
		}
	}
	s.reserved.mu.Unlock()
	slices.SortFunc(out, func(a, b LeaseInfo) int { return a.IP.Compare(b.IP) })
	return out
}
