package sim

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// unit joins a server to its virtual BMC: it is the machine that the BMC controls, and the BMC that the machine's
// firmware asks.
type unit struct {
	server *server
	bmc    *vbmc.BMC
}

// newUnit makes the BMC of a server, with the credentials of its row, or the rack's.
func newUnit(s *server, ns *Namespace, user, password string, log *slog.Logger) (*unit, error) {
	n := s.node
	cfg := vbmc.Config{
		Name: n.Name + "-bmc", MAC: n.BMC, User: or(n.BMCUser, user), Password: password,
		NetNS: ns.file, Interface: bmcInterface,
	}
	if n.BMCPasswordFile != "" {
		b, err := os.ReadFile(n.BMCPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("BMC password of %s: %w", n.Name, err)
		}
		cfg.Password = strings.TrimRight(string(b), "\r\n")
	}
	if n.BMCAddress.IsValid() {
		cfg.Listen = netip.AddrPortFrom(n.BMCAddress, vbmc.Port)
	}
	u := &unit{server: s}
	var err error
	if u.bmc, err = vbmc.New(cfg, u, log); err != nil {
		return nil, err
	}
	s.bmc = u
	return u, nil
}

// staticBMC gives a BMC that has an address of its own that address, in the internal network.
func staticBMC(ns *Namespace, n *rack.Node, prefix netip.Prefix) error {
	if !n.BMCAddress.IsValid() {
		return nil
	}
	return ns.Address(bmcInterface, netip.PrefixFrom(n.BMCAddress, prefix.Bits()))
}

// PowerState implements vbmc.Host.
func (u *unit) PowerState() bool { return u.server.On() }

// SetPower implements vbmc.Host.
func (u *unit) SetPower(on bool) error {
	if on {
		return u.order(OrderOn)
	}
	return u.order(OrderOff)
}

// Reset implements vbmc.Host.
func (u *unit) Reset() error { return u.order(OrderReset) }

// SoftOff implements vbmc.Host.
func (u *unit) SoftOff() { _ = u.order(OrderSoft) }

// order logs errors too: over IPMI, only their kind is told.
func (u *unit) order(do PowerOrder) error {
	err := u.server.Order(do)
	if err != nil {
		u.server.log.Error("power order of the BMC", "state", string(do), "err", err)
	}
	return err
}

// BootFirst implements controller.
func (u *unit) BootFirst() string {
	switch u.bmc.StartBoot().Device {
	case vbmc.DevicePXE:
		return OrderNetwork
	case vbmc.DeviceDisk:
		return OrderDisk
	default: // no override, or a device that the machine lacks
		return ""
	}
}

// ServeInBand implements controller.
func (u *unit) ServeInBand(ctx context.Context, conn net.Conn) error {
	return u.bmc.ServeInBand(ctx, conn)
}

// status adds what is known about the BMC.
func (u *unit) status(st *NodeStatus) {
	if a := u.bmc.Addr(); a.IsValid() {
		st.BMCAddress = a.Addr().String()
	}
}
