package bmc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/bmc-toolbox/bmclib/v2/bmc"
	ipmi "github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"
	"github.com/jacobweinstock/registrar"

	"github.com/racker-project/racker/pkg/api"
)

// Name and protocol of the provider in bmclib's registry.
const (
	providerName     = "racker-ipmi"
	providerProtocol = "ipmi"
)

// A request is sent again after this long without a reply, at most resends times.
const (
	resendAfter = time.Second
	resends     = 3
)

// provider speaks IPMI 2.0 to one BMC over one session. bmclib finds its methods by their interfaces; what bmclib has no
// interface for (the valid bit of the boot flags, Get Device ID) is called directly. It is used by one goroutine at a time.
type provider struct {
	target Target
	suite  types.CipherSuiteID
	conn   *listening
	client *ipmi.Client
	active bool
	// last is the error of the last request as go-ipmi gave it: bmclib flattens some of them into text.
	last error
}

// The interfaces that bmclib looks for.
var (
	_ bmc.Provider                 = (*provider)(nil)
	_ bmc.Opener                   = (*provider)(nil)
	_ bmc.Closer                   = (*provider)(nil)
	_ bmc.PowerStateGetter         = (*provider)(nil)
	_ bmc.PowerSetter              = (*provider)(nil)
	_ bmc.BootDeviceSetter         = (*provider)(nil)
	_ bmc.BootDeviceOverrideGetter = (*provider)(nil)
)

// features lists what the provider can do, for bmclib's registry.
func features() registrar.Features {
	return registrar.Features{"powerstate", "powerset", "bootdeviceset"}
}

// Name implements bmc.Provider.
func (p *provider) Name() string { return providerName }

// dialer hands go-ipmi the socket that the provider owns and so can close at once.
type dialer struct{ conn net.Conn }

// Dial implements proxy.Dialer.
func (d dialer) Dial(string, string) (net.Conn, error) { return d.conn, nil }

// Open implements bmc.Opener: one RMCP+ session with p.suite and administrator rights, IPMI 2.0 section 13.15. It goes straight
// to Open Session: the suite is given, so nothing is asked beforehand that some BMCs never answer, and the errors keep
// their types.
func (p *provider) Open(ctx context.Context) error { return p.note(p.open(ctx)) }

func (p *provider) open(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", p.target.address())
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	p.conn = &listening{Conn: conn}
	c, err := ipmi.NewClient(p.target.Host, p.target.Port, p.target.User, p.target.Password.Reveal())
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	p.client = c.WithUDPProxy(dialer{p.conn}).WithTimeout(resendAfter).WithRetry(resends).
		WithCipherSuiteID(p.suite).WithMaxPrivilegeLevel(types.PrivilegeLevelAdministrator)
	if err := p.handshake(ctx); err != nil {
		if refused := p.conn.refused(); refused != nil {
			return fmt.Errorf("open session: %w", refused)
		}
		return err
	}
	p.active = true
	if _, err := p.client.SetSessionPrivilegeLevel(ctx, types.PrivilegeLevelAdministrator); err != nil {
		var reply *types.ResponseError
		if errors.As(err, &reply) {
			// 80h to 83h: not available for this user, channel or session, IPMI 2.0 section 22.18.
			return fmt.Errorf("set privilege: %w", errors.Join(ErrPrivilege, err))
		}
		return fmt.Errorf("set privilege: %w", err)
	}
	return nil
}

// handshake is Open Session and the two exchanges of RAKP, IPMI 2.0 sections 13.17 to 13.23.
func (p *provider) handshake(ctx context.Context) error {
	if _, err := p.client.OpenSession(ctx); err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	if _, err := p.client.RAKPMessage1(ctx); err != nil {
		return fmt.Errorf("RAKP 1: %w", err)
	}
	if _, err := p.client.RAKPMessage3(ctx); err != nil {
		return fmt.Errorf("RAKP 3: %w", err)
	}
	return nil
}

// Close implements bmc.Closer: it ends the session, where there is one, and always the socket.
func (p *provider) Close(ctx context.Context) error {
	if p.conn == nil {
		return nil
	}
	defer func() {
		p.conn.Close()
		p.conn, p.active = nil, false
	}()
	if !p.active {
		return nil
	}
	return p.client.Close(ctx)
}

// PowerStateGet implements bmc.PowerStateGetter with "on" or "off".
func (p *provider) PowerStateGet(ctx context.Context) (string, error) {
	status, err := p.client.GetChassisStatus(ctx)
	if err != nil {
		return "", p.note(err)
	}
	p.last = nil
	if status.PowerIsOn {
		return string(api.PowerOn), nil
	}
	return string(api.PowerOff), nil
}

// Orders that PowerSet knows besides "on" and "off".
const orderSoft = "soft"

// PowerSet implements bmc.PowerSetter with "on", "off" and "soft"; cycle and reset are refused, since they are not
// safe to repeat.
func (p *provider) PowerSet(ctx context.Context, state string) (bool, error) {
	var control chassis.ChassisControl
	switch state {
	case string(api.PowerOn):
		control = chassis.ChassisControlPowerUp
	case string(api.PowerOff):
		control = chassis.ChassisControlPowerDown
	case orderSoft:
		control = chassis.ChassisControlSoftShutdown
	default:
		return false, p.note(fmt.Errorf("power order %q is not known", state))
	}
	_, err := p.client.ChassisControl(ctx, control)
	return err == nil, p.note(err)
}

// note keeps err for the caller of bmclib, and passes it on.
func (p *provider) note(err error) error {
	p.last = err
	return err
}

// reading is what Get Device ID and Get LAN Configuration Parameters tell.
func (p *provider) reading(ctx context.Context) (Reading, error) {
	id, err := p.client.GetDeviceID(ctx)
	if err != nil {
		return Reading{}, p.note(err)
	}
	p.last = nil
	r := Reading{
		ManufacturerID:   id.ManufacturerID,
		ProductID:        id.ProductID,
		FirmwareRevision: fmt.Sprintf("%d.%02x", id.MajorFirmwareRevision, id.MinorFirmwareRevision),
		IPMIVersion:      fmt.Sprintf("%d.%d", id.MajorIPMIVersion, id.MinorIPMIVersion),
		CipherSuite:      int(p.suite),
	}
	if name := types.OEM(id.ManufacturerID).String(); !strings.HasPrefix(strings.ToLower(name), "unknown") {
		r.Manufacturer = name
	}
	mac := &types.LanConfigParam_MAC{}
	if err := p.client.GetLanConfigParamFor(ctx, types.ChannelNumberSelf, mac); err == nil {
		copy(r.MAC[:], mac.MAC)
	}
	return r, nil
}
