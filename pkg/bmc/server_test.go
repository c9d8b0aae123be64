package bmc_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/hal"
	"github.com/bougou/go-ipmi/pkg/hal/mock"
	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/server"
	"github.com/bougou/go-ipmi/pkg/types"

	racker "github.com/racker-project/racker/pkg/bmc"
)

// quirks are ways of a real BMC to be difficult.
type quirks struct {
	suites       []types.CipherSuiteID
	privilege    bmc.PrivilegeLevel // of the user; 0 means administrator
	deafPower    bool               // says yes to power orders, does nothing
	deafBoot     bool               // says yes to boot flags, keeps the old ones
	dropEFI      bool               // forgets the EFI bit
	noParameters bool               // answers 80h to parameter 3
	flags        types.BootOptionParam_BootFlags
	lose         int // packets that never arrive, from the first on
}

// rig is a go-ipmi BMC in this process, and what it saw.
type rig struct {
	quirks
	ipmi *bmc.BMC
	port int

	mu       sync.Mutex
	on       bool
	orders   []bool
	opens    int // Open Session requests
	crowded  bool
	received int
}

// startRig runs a BMC for the length of the test.
func startRig(t *testing.T, q quirks) *rig {
	t.Helper()
	r := &rig{quirks: q}
	r.ipmi = bmc.New(bmc.DeviceInfo{DeviceID: 0x20, FirmwareMajor: 2, FirmwareMinor: 0x41, IPMIVersion: 0x02, ManufacturerID: 674, ProductID: 0x100},
		[16]byte{1}, rigHardware{HAL: mock.New(), r: r}, bmc.WithCipherSuites(q.suites))
	user, err := r.ipmi.Users.Add(2, simUser)
	if err != nil {
		t.Fatal(err)
	}
	user.SetPassword([]byte(simPassword))
	user.Enabled = true
	if q.privilege == 0 {
		q.privilege = bmc.PrivilegeLevelAdministrator
	}
	user.ChannelAccess[1] = bmc.UserChannelAccess{MaxPrivilege: q.privilege, Enabled: true}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r.port = udp.LocalAddr().(*net.UDPAddr).Port
	reg := handlers.NewRegistry()
	reg.Use(r.refuseParameter)
	handlers.RegisterAllHandlers(reg)
	srv := server.NewServer(r.ipmi, rigSocket{UDPConn: udp, r: r}, server.WithHandlerRegistry(reg))
	done := make(chan struct{})
	go func() { srv.Serve(context.Background()); close(done) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return r
}

// target gives the way in, with the right password.
func (r *rig) target() racker.Target {
	return racker.Target{Node: "node-7", Host: "127.0.0.1", Port: r.port, User: simUser, Password: simPassword}
}

// refuseParameter answers 80h to boot option parameter 3 where the quirk says so.
func (r *rig) refuseParameter(next handlers.Handler) handlers.Handler {
	return handlers.HandlerFunc(func(ctx context.Context, h *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
		if r.noParameters && h.Command.Key() == types.CommandSetSystemBootOptions.Key() && req[0]&0x7f == 3 {
			return nil, types.CodeParameterNotSupported, nil
		}
		return next.Handle(ctx, h, req)
	})
}

// rigSocket counts and loses packets.
type rigSocket struct {
	*net.UDPConn
	r *rig
}

func (s rigSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := s.ReadFromUDP(p)
		if err != nil || s.r.heard(p[:n]) {
			return n, addr, err
		}
	}
}

// heard notes a packet; false loses it.
func (r *rig) heard(packet []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.received++; r.received <= r.lose {
		return false
	}
	if len(packet) > 5 && packet[4] == 6 && types.PayloadType(packet[5]&0x3f) == types.PayloadTypeRmcpOpenSessionRequest {
		r.opens++
		r.crowded = r.crowded || r.ipmi.Sessions.Count() > 0
	}
	return true
}

// seen gives what the BMC saw so far.
func (r *rig) seen() (opens int, orders []bool, crowded bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opens, append([]bool(nil), r.orders...), r.crowded
}

// rigHardware is go-ipmi's in-memory hardware with a chassis of ours.
type rigHardware struct {
	*mock.HAL
	r *rig
}

func (h rigHardware) Chassis() hal.ChassisHAL { return rigChassis{h.HAL.Chassis(), h.r} }

type rigChassis struct {
	hal.ChassisHAL
	r *rig
}

func (c rigChassis) PowerState(context.Context) (bool, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return c.r.on, nil
}

func (c rigChassis) SetPower(_ context.Context, on bool) error {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.orders = append(c.r.orders, on)
	if !c.r.deafPower {
		c.r.on = on
	}
	return nil
}

func (c rigChassis) WarmReset(ctx context.Context) error { return c.SetPower(ctx, false) }

func (c rigChassis) SetBootFlags(_ context.Context, f *types.BootOptionParam_BootFlags) error {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if !c.r.deafBoot {
		c.r.flags = *f
	}
	if c.r.dropEFI {
		c.r.flags.BIOSBootType = false
	}
	return nil
}

func (c rigChassis) GetBootFlags(context.Context) (*types.BootOptionParam_BootFlags, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	flags := c.r.flags
	return &flags, nil
}
