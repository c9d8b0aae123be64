package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/pxe"
	"github.com/racker-project/racker/pkg/sim"
	"github.com/racker-project/racker/pkg/sim/vbmc"
)

// noAddress is the address of a NIC without one.
func noAddress() netip.Addr { return netip.Addr{} }

// retryBoot is how long a firmware shows that there is nothing to boot before it tries all over again.
const retryBoot = 5 * time.Second

// maxPrograms bounds boot programs that load each other.
const maxPrograms = 4

// run is a server from power-on until it is up for good, or its power goes.
func (s *session) run(ctx context.Context) {
	for s.boot(ctx) && ctx.Err() == nil {
		s.again()
		s.port.configure(noAddress())
		s.lines.renew()
	}
}

// boot is one start of the firmware; it reports whether the machine then reboots by itself.
func (s *session) boot(ctx context.Context) (reboot bool) {
	network := s.bootFirst() == sim.OrderNetwork
	if s.pause(ctx, s.node.hw.POST) != nil {
		return false
	}
	for only := s.fault().DiskFirst; ctx.Err() == nil; {
		if network && !only {
			if over, reboot := s.network(ctx); over {
				return reboot
			}
		}
		if s.bootable() {
			return s.start(ctx)
		}
		if only {
			s.hang(ctx, "no bootable device")
			return false
		}
		s.say("no bootable device")
		if network = true; rest(ctx, s.node.fleet.scaled(retryBoot)) != nil {
			return false
		}
	}
	return false
}

// bootFirst is what the firmware tries first: what the BMC says, else its own order.
func (s *session) bootFirst() string {
	first := s.node.hw.Order
	if b := s.node.bmc; b != nil {
		switch b.StartBoot().Device {
		case vbmc.DevicePXE:
			first = sim.OrderNetwork
		case vbmc.DeviceDisk:
			first = sim.OrderDisk
		}
	}
	switch f := s.fault(); {
	case f.AlwaysNetwork:
		return sim.OrderNetwork
	case f.DiskFirst:
		return sim.OrderDisk
	}
	return first
}

// network boots over the network; over is false when the firmware shall try the next device.
func (s *session) network(ctx context.Context) (over, reboot bool) {
	if s.fault().NoDHCP {
		s.solicit(ctx)
		return true, false
	}
	s.become(sim.StateNetboot)
	end, err := s.netboot(ctx)
	switch {
	case ctx.Err() != nil:
		return true, false
	case err != nil:
		s.say("network boot: %v", err)
		return false, false
	case end.kernel != nil:
		return true, s.microkernel(ctx, end.kernel)
	case end.left: // a program that starts the disk's system
		return true, s.start(ctx)
	}
	return false, false
}

// start runs the installed system, and reports whether the server resets instead.
func (s *session) start(ctx context.Context) (reset bool) {
	if s.fault().BootLoop {
		s.say("the system does not start")
		return s.pause(ctx, s.node.hw.Boot) == nil
	}
	s.system(ctx)
	return false
}

// solicit shows that the link is up, and asks for nothing.
func (s *session) solicit(ctx context.Context) {
	s.say("link is up")
	for {
		s.port.send(solicitation(s.port.mac))
		if rest(ctx, retryBoot) != nil {
			return
		}
	}
}

// arch is what the firmware says of itself in option 93.
func (s *session) arch() pxe.Arch {
	switch hw := &s.node.hw; {
	case hw.HTTPBoot:
		return pxe.EFIX64HTTP
	case hw.Firmware == sim.FirmwareUEFI:
		return pxe.EFIX64
	}
	return pxe.BIOS
}

// netboot goes from the firmware's DISCOVER to the end of the boot script.
func (s *session) netboot(ctx context.Context) (ending, error) {
	class, uuid := pxe.ClassPXE, s.node.uuid()
	if s.node.hw.HTTPBoot {
		class = pxe.ClassHTTP
	}
	ack, err := s.lease(ctx, firmwarePatience(), asFirmware(class, s.arch(), uuid)...)
	if err != nil {
		return ending{}, err
	}
	if s.fault().NoTFTP {
		s.hang(ctx, "waiting for the boot program")
		return ending{}, ctx.Err()
	}
	arch := pxe.BIOS
	if s.node.hw.Firmware == sim.FirmwareUEFI {
		arch = pxe.EFIX64
	}
	for range maxPrograms {
		if err := s.bootProgram(ctx, ack); err != nil {
			return ending{}, err
		}
		if err := s.pause(ctx, s.node.hw.IPXE); err != nil {
			return ending{}, err
		}
		s.port.send(solicitation(s.port.mac))
		if ack, err = s.lease(ctx, ipxePatience(), asIPXE(arch, uuid)...); err != nil {
			return ending{}, err
		}
		if at, err := url.Parse(ack.BootFileName); err == nil && at.Scheme == "http" {
			return s.script(ctx, at, arch)
		}
	}
	return ending{}, errors.New("boot programs load each other")
}

// lease gets an address and takes it.
func (s *session) lease(ctx context.Context, patient patience, options ...dhcpv4.Modifier) (*dhcpv4.DHCPv4, error) {
	s.port.configure(noAddress())
	ack, err := s.port.acquire(ctx, patient, options...)
	if err != nil {
		return nil, err
	}
	s.note(func(*node) { s.port.configure(leased(ack)) })
	return ack, ctx.Err()
}

// bootProgram loads what an ACK names, by TFTP or HTTP.
func (s *session) bootProgram(ctx context.Context, ack *dhcpv4.DHCPv4) error {
	file := ack.BootFileName
	if file == "" {
		return errors.New("the DHCP server names no boot file")
	}
	if at, err := url.Parse(file); err == nil && at.Scheme == "http" {
		if _, err := s.fetch(ctx, at); err != nil {
			return err
		}
		return nil
	}
	server, ok := netip.AddrFromSlice(ack.ServerIPAddr.To4())
	if !ok || server.IsUnspecified() {
		return errors.New("the DHCP server names no TFTP server")
	}
	s.say("TFTP %s", file)
	_, err := s.tftp(ctx, server, file, s.fault().TFTPStall)
	return err
}

// script runs the boot script at an address.
func (s *session) script(ctx context.Context, at *url.URL, arch pxe.Arch) (ending, error) {
	platform := "pcbios"
	if arch.UEFI() {
		platform = "efi"
	}
	ip := s.port.address()
	i := &interpreter{on: machine{s, arch}, set: settings{
		"mac": s.port.mac.String(), "ip": ip.String(), "uuid": uuidText(s.node.uuid()), "serial": s.node.hw.Serial,
		"manufacturer": "racker", "product": "fake server", "platform": platform, "buildarch": "x86_64", "version": "1.0.0",
		"next-server": s.node.fleet.relay.server.String(), "net0": "", "asset": "",
	}}
	if !arch.UEFI() {
		i.set["buildarch"] = "i386"
	}
	text, err := s.fetch(ctx, at)
	if err != nil {
		return ending{}, err
	}
	end, err := i.run(ctx, text, at)
	s.note(func(n *node) { n.count.Netboots++ })
	return end, err
}

// machine is the fake server as a boot script sees it.
type machine struct {
	*session
	arch pxe.Arch
}

// load implements loader. What was fetched is thrown away.
func (m machine) load(ctx context.Context, from *url.URL, kernel bool) error {
	stall := false
	if f := m.fault(); kernel && f.NoKernel {
		m.hang(ctx, "waiting for the kernel")
		return ctx.Err()
	} else if kernel && f.KernelStall {
		stall = true
	}
	m.say("loading %s", from.Path)
	return m.discard(ctx, from, stall)
}

// dhcp implements loader.
func (m machine) dhcp(ctx context.Context) error {
	_, err := m.lease(ctx, ipxePatience(), asIPXE(m.arch, m.node.uuid())...)
	return err
}

// program implements loader: the only program that is known is a GRUB that starts the system of the disk whose EFI system
// partition it names.
func (m machine) program(_ context.Context, image []byte) error {
	d := m.held()
	if !d.bootable() || d.esp == "" || !bytes.Contains(image, []byte(d.esp)) {
		return fmt.Errorf("a program of %d bytes finds nothing to start", len(image))
	}
	return nil
}

// echo implements loader.
func (m machine) echo(text string) { m.say("%s", text) }
