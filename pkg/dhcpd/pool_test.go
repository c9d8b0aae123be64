package dhcpd

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/rack"
)

func stranger(i int) rack.MAC { return rack.MAC{0x52, 0x54, 1, 0, byte(i >> 8), byte(i)} }

func sameAddr(a, b netip.Addr) bool { return a == b }

// lease offers and takes in one step.
func lease(t *testing.T, p *pool, mac rack.MAC, at time.Time) netip.Addr {
	t.Helper()
	ip, ok := p.offer(mac, netip.Addr{}, at)
	if !ok {
		return netip.Addr{}
	}
	if _, c := p.take(mac, ip, "", true, at); c != claimed {
		t.Fatalf("take %s for %s = %v", ip, mac, c)
	}
	return ip
}

func tinyPool(n int) *pool {
	cfg := testConfig()
	cfg.setDefaults()
	cfg.PoolLast = cfg.PoolFirst
	for range n - 1 {
		cfg.PoolLast = cfg.PoolLast.Next()
	}
	return newPool(&cfg)
}

func TestPoolGivesDistinctAddressesUntilFull(t *testing.T) {
	t.Parallel()
	p := tinyPool(3)
	seen := map[netip.Addr]bool{}
	for i := range 3 {
		ip := lease(t, p, stranger(i), start)
		if !ip.IsValid() || seen[ip] {
			t.Errorf("machine %d: %s", i, ip)
		}
		seen[ip] = true
	}
	if ip := lease(t, p, stranger(3), start); ip.IsValid() {
		t.Errorf("a fourth got %s of three", ip)
	}
	if ip := lease(t, p, stranger(1), start.Add(time.Minute)); ip != first.Next() {
		t.Errorf("the second has now %s", ip)
	}
	// The first and third ran out after two minutes, the second did not.
	later := start.Add(150 * time.Second)
	if ip := lease(t, p, stranger(3), later); !ip.IsValid() || ip == first.Next() {
		t.Errorf("after two minutes a fourth got %s", ip)
	}
}

func TestPoolRemembersWhoHadAnAddress(t *testing.T) {
	t.Parallel()
	p := tinyPool(4)
	a, b := lease(t, p, stranger(0), start), lease(t, p, stranger(1), start)
	hour := start.Add(time.Hour)
	if got := lease(t, p, stranger(1), hour); got != b {
		t.Errorf("it had %s and gets %s", b, got)
	}
	// INIT-REBOOT after the lease ran out: the address is still there.
	if _, c := p.take(stranger(0), a, "", false, hour); c != claimed {
		t.Errorf("INIT-REBOOT for the old address = %v", c)
	}
}

func TestPoolTake(t *testing.T) {
	t.Parallel()
	p := tinyPool(4)
	mine := lease(t, p, stranger(0), start)
	other := lease(t, p, stranger(1), start)
	unused := other.Next()
	for _, c := range []struct {
		name     string
		mac      rack.MAC
		ip       netip.Addr
		selected bool
		want     claim
	}{
		{"renewal", stranger(0), mine, false, claimed},
		{"somebody else's", stranger(0), other, false, claimRefused},
		{"somebody else's, by a machine without a lease", stranger(7), other, false, claimRefused},
		{"unused, but it has another", stranger(0), unused, false, claimRefused},
		{"unused, nothing known", stranger(7), unused, false, claimUnheard},
		{"unused, chosen after the offer ran out", stranger(7), unused, true, claimed},
		{"outside", stranger(8), ipNode, true, claimRefused},
	} {
		if _, got := p.take(c.mac, c.ip, "", c.selected, start); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPoolOfferIsNoLease(t *testing.T) {
	t.Parallel()
	p := tinyPool(1)
	if _, ok := p.offer(stranger(0), netip.Addr{}, start); !ok {
		t.Fatal("no offer")
	}
	if got := p.current(start); len(got) != 0 {
		t.Errorf("leases = %+v after an offer", got)
	}
	if _, ok := p.offer(stranger(1), netip.Addr{}, start.Add(time.Second)); ok {
		t.Error("offered to two at once")
	}
	p.withdraw(stranger(0), start.Add(2*time.Second))
	if ip := lease(t, p, stranger(1), start.Add(3*time.Second)); ip != first {
		t.Errorf("after the first chose another server: %s", ip)
	}
}

func TestPoolDeclineAndRelease(t *testing.T) {
	t.Parallel()
	p := tinyPool(1)
	ip := lease(t, p, stranger(0), start)
	if _, ok := p.decline(stranger(1), ip, start); ok {
		t.Error("a machine declined what is another's")
	}
	bad, ok := p.decline(stranger(0), ip, start)
	if !ok || !bad.Declined {
		t.Fatalf("decline = %+v, %v", bad, ok)
	}
	if got := lease(t, p, stranger(0), start.Add(quarantine-time.Second)); got.IsValid() {
		t.Errorf("%s given out in quarantine", got)
	}
	over := start.Add(quarantine + time.Second)
	if got := lease(t, p, stranger(2), over); got != ip {
		t.Errorf("after quarantine: %s", got)
	}
	if _, ok := p.release(stranger(0), ip, over); ok {
		t.Error("a machine released what is another's")
	}
	if gone, ok := p.release(stranger(2), ip, over); !ok || gone.Expires.After(over) {
		t.Errorf("release = %+v, %v", gone, ok)
	}
	if got := lease(t, p, stranger(3), over); got != ip {
		t.Errorf("after the release: %s", got)
	}
}

func TestPoolRestore(t *testing.T) {
	t.Parallel()
	p := tinyPool(2)
	ip := lease(t, p, stranger(0), start)
	saved := p.current(start)
	saved = append(saved,
		Lease{MAC: stranger(5), IP: netip.MustParseAddr("10.0.0.1"), Expires: start.Add(time.Hour)}, // of another pool
		Lease{IP: ip.Next(), Expires: start.Add(time.Hour)})                                         // of nobody
	q := tinyPool(2)
	q.restore(saved)
	if d := cmp.Diff(p.current(start), q.current(start), cmp.Comparer(sameAddr)); d != "" {
		t.Errorf("after a restart (-before +after):\n%s", d)
	}
	if got := lease(t, q, stranger(1), start); got == ip || !got.IsValid() {
		t.Errorf("another machine got %s", got)
	}
}

// TestPoolStaysInBounds lets many more machines come than there are addresses, over a day.
func TestPoolStaysInBounds(t *testing.T) {
	t.Parallel()
	p := tinyPool(16)
	at := start
	for i := range 5000 {
		at = at.Add(17 * time.Second)
		lease(t, p, stranger(i%97), at)
		if i%7 == 0 {
			p.release(stranger((i+3)%97), netip.Addr{}, at)
		}
		if len(p.byIP) > 16 || len(p.byMAC) > 16 {
			t.Fatalf("after %d machines: %d addresses, %d MACs", i, len(p.byIP), len(p.byMAC))
		}
		holders := map[rack.MAC]bool{}
		for _, l := range p.current(at) {
			if holders[l.MAC] {
				t.Fatalf("%s has two addresses", l.MAC)
			}
			holders[l.MAC] = true
		}
	}
}

func TestCleanHostName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"node-1.rack": "node-1.rack", "a b\x00\n${c}\u00e4": "abc", "": "", fmt.Sprintf("%080d", 0): fmt.Sprintf("%063d", 0),
	} {
		if got := cleanHostName(in); got != want {
			t.Errorf("cleanHostName(%q) = %q, want %q", in, got, want)
		}
	}
}
