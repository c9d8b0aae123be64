package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/racker-project/racker/pkg/rack"
)

// carrierTime is how long a link gets to come up before DHCP is tried all the same: spanning tree takes 30 s or more.
const carrierTime = 60 * time.Second

// errNoNIC says that the NIC that booted has not shown up.
var errNoNIC = errors.New("no such network interface")

// bootNIC gives the interface with that MAC; with a zero MAC the first that has a link, or the first at all.
func bootNIC(mac rack.MAC) (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var first netlink.Link
	for _, l := range links {
		at := l.Attrs()
		if l.Type() != "device" || at.Flags&net.FlagLoopback != 0 || len(at.HardwareAddr) != len(mac) {
			continue
		}
		if !mac.IsZero() {
			if rack.MACFrom(at.HardwareAddr) == mac || rack.MACFrom(at.PermHWAddr) == mac {
				return l, nil
			}
			continue
		}
		if at.OperState == netlink.OperUp {
			return l, nil
		}
		if first == nil {
			first = l
		}
	}
	if first != nil {
		return first, nil
	}
	return nil, fmt.Errorf("%w: MAC %q among %d interfaces", errNoNIC, mac, len(links))
}

// raiseAll sets every Ethernet interface up, so that links show which ports are cabled. They get no addresses.
func raiseAll(log *slog.Logger) {
	links, err := netlink.LinkList()
	if err != nil {
		log.Warn("list network interfaces", "err", err)
		return
	}
	for _, l := range links {
		at := l.Attrs()
		if l.Type() != "device" || at.Flags&net.FlagUp != 0 || at.Flags&net.FlagLoopback == 0 && len(at.HardwareAddr) != 6 {
			continue
		}
		if err := netlink.LinkSetUp(l); err != nil {
			log.Warn("set interface up", "iface", at.Name, "err", err)
		}
	}
}

// noIPv6 keeps the machine's other networks from configuring it while it is in nobody's hands.
func noIPv6(proc string) error {
	dir := filepath.Join(proc, "sys/net/ipv6/conf")
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	var errs []error
	for _, which := range []string{"all", "default"} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, which, "disable_ipv6"), []byte("1\n"), 0o644))
	}
	return errors.Join(errs...)
}

// findNIC waits, for ever, until the NIC that booted is there; drivers are looked for again meanwhile.
func findNIC(ctx context.Context, mac rack.MAC, again func(), log *slog.Logger) (netlink.Link, error) {
	for try := 0; ; try++ {
		l, err := bootNIC(mac)
		if err == nil {
			return l, nil
		}
		if try%5 == 0 {
			log.Warn("waiting for the network interface that booted", "mac", mac.String(), "err", err)
		}
		if err := (pace{First: time.Second, Most: time.Second}).wait(ctx, try); err != nil {
			return nil, err
		}
		again()
	}
}

// raise sets a link up and waits, within carrierTime, for its carrier.
func raise(ctx context.Context, l netlink.Link, log *slog.Logger) error {
	name := l.Attrs().Name
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	began := time.Now()
	for try := 0; ; try++ {
		now, err := netlink.LinkByIndex(l.Attrs().Index)
		if err != nil {
			return fmt.Errorf("look at %s: %w", name, err)
		}
		if s := now.Attrs().OperState; s == netlink.OperUp || s == netlink.OperUnknown {
			log.Info("link is up", "iface", name, "mac", l.Attrs().HardwareAddr.String())
			return nil
		}
		if time.Since(began) > carrierTime {
			log.Warn("link has no carrier, trying DHCP all the same", "iface", name)
			return nil
		}
		if try%50 == 49 {
			log.Info("waiting for the carrier", "iface", name, "dur", time.Since(began).Round(time.Second).String())
		}
		if err := (pace{First: 100 * time.Millisecond, Most: 100 * time.Millisecond}).wait(ctx, try); err != nil {
			return err
		}
	}
}
