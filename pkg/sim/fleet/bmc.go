package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// leastRenewal keeps a very short lease from a tight loop.
const leastRenewal = 15 * time.Second

// addBMC makes the BMC of a row that has one, with the credentials of the row, or the rack's.
func (n *node) addBMC(user string) error {
	if n.row.BMC.IsZero() && !n.row.BMCAddress.IsValid() {
		return nil
	}
	if n.row.BMCUser != "" {
		user = n.row.BMCUser
	}
	if name := n.row.BMCPasswordFile; name != "" {
		if !filepath.IsAbs(name) {
			name = filepath.Join(n.fleet.site.Folder.OEM(), name)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("BMC password of %s: %w", n.row.Name, err)
		}
		n.hw.password = strings.TrimRight(string(b), "\r\n")
	}
	if at := n.row.BMCAddress; !at.IsValid() || n.fleet.relay.prefix.Contains(at) {
		n.bmcPort = n.fleet.relay.port(n.row.BMC)
	}
	var err error
	n.bmc, err = vbmc.New(vbmc.Config{
		Name: n.row.Name + "-bmc", MAC: n.row.BMC, User: user, Password: n.hw.password, NetNS: n.fleet.ns.File(),
	}, n, slog.New(quiet{n.fleet.log.Handler()}))
	return err
}

// quiet hides a BMC's chatter: a thousand of them would fill the log.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// runBMC runs the BMC at its own address, or at one that it leases, until ctx is done.
func (n *node) runBMC(ctx context.Context) error {
	if ip := n.row.BMCAddress; ip.IsValid() {
		if n.bmcPort != nil {
			n.bmcPort.configure(ip)
		}
		return n.bmc.RunAt(ctx, netip.AddrPortFrom(ip, vbmc.Port))
	}
	p := n.bmcPort
	for ctx.Err() == nil {
		ack, err := p.acquire(ctx, systemPatience(), asBMC(n.row.Name+"-bmc")...)
		if err != nil {
			return nil // only the end of the fleet ends that
		}
		p.configure(leased(ack))
		if err := n.hold(ctx, p, ack); err != nil {
			return err
		}
		p.configure(noAddress())
	}
	return nil
}

// hold runs the BMC at a leased address until the server gives another.
func (n *node) hold(ctx context.Context, p *port, ack *dhcpv4.DHCPv4) error {
	ip := leased(ack)
	g, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	g.Go(func() error { return n.bmc.RunAt(gctx, netip.AddrPortFrom(ip, vbmc.Port)) })
	g.Go(func() error {
		defer stop()
		for {
			t1 := ack.IPAddressRenewalTime(ack.IPAddressLeaseTime(time.Hour) / 2)
			if rest(gctx, max(t1, leastRenewal)) != nil {
				return nil
			}
			next, err := p.acquire(gctx, systemPatience(), asBMC(n.row.Name+"-bmc")...)
			if err != nil || leased(next) != ip {
				return nil
			}
			ack = next
		}
	})
	return g.Wait()
}

// asBMC is what a BMC says.
func asBMC(host string) []dhcpv4.Modifier {
	return []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptHostName(host)), dhcpv4.WithOption(dhcpv4.OptClassIdentifier("BMC"))}
}
