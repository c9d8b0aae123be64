package netif

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/rack"
)

const (
	// probeFor bounds how long an answer is awaited.
	probeFor = time.Second
	// probeEvery is how often the table is looked at meanwhile.
	probeEvery = 5 * time.Millisecond
	// discardPort is where a probe is sent to: a service of RFC 863 that nobody runs, which is as good.
	discardPort = 9
)

// Neighbour is an entry of the kernel's neighbour (ARP) table.
type Neighbour struct {
	IP netip.Addr
	// MAC is zero when nobody answers for IP.
	MAC rack.MAC
	// State is the kernel's: "reachable", "stale", "delay", "probe", "permanent", "failed", "incomplete"; empty
	// without an entry.
	State string
}

// Confirmed tells that the kernel has had an answer from this MAC lately, or was told it for good.
func (n Neighbour) Confirmed() bool {
	return !n.MAC.IsZero() && (n.State == "reachable" || n.State == "permanent")
}

// FindNeighbour finds who answers for ip on an interface. What the kernel has confirmed lately is taken; otherwise a
// datagram makes the kernel ask, and the answer is awaited until ctx is done, one second at most. Nobody answering is
// no error: MAC is then zero, or an old one whose state tells. The error matches ErrNoInterface, or ctx's.
func FindNeighbour(ctx context.Context, iface string, ip netip.Addr) (Neighbour, error) {
	l, err := link(iface)
	if err != nil {
		return Neighbour{}, err
	}
	n, err := neighbour(l, ip)
	if err != nil || n.Confirmed() {
		return n, err
	}
	if err := probe(ctx, iface, ip); err != nil {
		return n, fmt.Errorf("interface %s: probe %s: %w", iface, ip, err)
	}
	if !n.MAC.IsZero() {
		// The kernel trusts an old entry for seconds before it asks again, so ask ourselves. Without the right to, the
		// kernel's own time is what there is.
		_ = askARP(l, ip)
	}
	return await(ctx, l, ip)
}

// await looks until the kernel knows whether somebody answers. Sending the datagram makes an old entry "delay", which is
// not yet an answer.
func await(ctx context.Context, l netlink.Link, ip netip.Addr) (Neighbour, error) {
	deadline := time.NewTimer(probeFor)
	defer deadline.Stop()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		n, err := neighbour(l, ip)
		if err != nil || n.State == "reachable" || n.State == "permanent" || n.State == "failed" {
			return n, err
		}
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-deadline.C:
			return n, nil
		case <-tick.C:
		}
	}
}

// neighbour asks for one entry of the table (RTM_GETNEIGH without a dump, Linux 5.0): a table of a thousand servers would
// be read a thousand times otherwise.
func neighbour(l netlink.Link, ip netip.Addr) (Neighbour, error) {
	n := Neighbour{IP: ip}
	family := netlink.FAMILY_V4
	if ip.Is6() {
		family = netlink.FAMILY_V6
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(l.Attrs().Index)})
	req.AddData(nl.NewRtAttr(unix.NDA_DST, ip.AsSlice()))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if errors.Is(err, unix.ENOENT) {
		return n, nil
	}
	if err != nil {
		return n, fmt.Errorf("neighbour %s of %s: %w", ip, l.Attrs().Name, err)
	}
	for _, a := range answers {
		e, err := netlink.NeighDeserialize(a)
		if err != nil {
			return n, fmt.Errorf("neighbour %s of %s: %w", ip, l.Attrs().Name, err)
		}
		n.MAC, n.State = rack.MACFrom(e.HardwareAddr), stateName(e.State)
	}
	return n, nil
}

func stateName(s int) string {
	switch {
	case s&unix.NUD_REACHABLE != 0:
		return "reachable"
	case s&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0:
		return "permanent"
	case s&unix.NUD_STALE != 0:
		return "stale"
	case s&unix.NUD_DELAY != 0:
		return "delay"
	case s&unix.NUD_PROBE != 0:
		return "probe"
	case s&unix.NUD_FAILED != 0:
		return "failed"
	case s&unix.NUD_INCOMPLETE != 0:
		return "incomplete"
	}
	return ""
}

// probe sends a datagram of no content, for which the kernel has to know the MAC.
func probe(ctx context.Context, iface string, ip netip.Addr) error {
	d := net.Dialer{Control: bindTo(iface)}
	c, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(ip, discardPort).String())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write(nil)
	return err
}

// thresholdFile is the setting of NeighbourLimit, arp(7).
const thresholdFile = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"

// NeighbourLimit is how many entries the kernel's neighbour table may hold: beyond it, new neighbours are not reached.
func NeighbourLimit() (int, error) {
	b, err := os.ReadFile(thresholdFile)
	if err != nil {
		return 0, fmt.Errorf("neighbour table: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("neighbour table: %s: %w", thresholdFile, err)
	}
	return n, nil
}
