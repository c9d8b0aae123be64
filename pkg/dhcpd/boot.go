package dhcpd

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/ipxe"
	"github.com/racker-project/racker/pkg/pxe"
)

// fetchedFor is how long a fetched boot program counts for the boot under way.
const fetchedFor = 5 * time.Minute

// fetches remembers which machines were sent a boot program and have not yet been sent to the script.
type fetches struct {
	mu sync.Mutex
	at map[netip.Addr]time.Time
}

func (f *fetches) note(ip netip.Addr, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[ip] = at
}

func (f *fetches) forget(ip netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.at, ip)
}

func (f *fetches) has(ip netip.Addr, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.at[ip]
	return ok && at.Sub(t) < fetchedFor
}

// firmwareStarts notes that a boot begins anew: what was fetched before no longer counts.
func (x *exchange) firmwareStarts() {
	c := x.seen.Client
	if x.s.cfg.ChainAlways && x.seen.Known && (c.PXE || c.HTTP) && !c.IPXE {
		x.s.fetched.forget(x.res.IP)
	}
}

// bootGiven notes that an iPXE was sent to the script. In a machine whose NIC has an iPXE of its own the next boot begins
// with that one, which has to chain again.
func (x *exchange) bootGiven() {
	if x.s.cfg.ChainAlways && x.seen.File == x.s.cfg.scriptURL() {
		x.s.fetched.forget(x.res.IP)
	}
}

// bootOptions adds what leads the client to its boot file, if it asks for one and may have it.
func (x *exchange) bootOptions() {
	c := x.seen.Client
	if !x.seen.Known || !x.res.Boot || !c.Netboot() {
		return
	}
	switch {
	case c.IPXE && !c.Features.NoHTTP() && (!x.s.cfg.ChainAlways || x.s.fetched.has(x.res.IP, x.at)):
		x.bootFile(x.s.cfg.scriptURL())
		x.out.UpdateOption(pxe.NoProxyDHCP())
	case c.IPXE:
		// It stays on the driver that works already.
		if name, ok := x.program(true); ok {
			x.bootFile(name)
			x.out.UpdateOption(pxe.NoProxyDHCP())
		}
	case c.HTTP:
		if name, ok := x.program(false); ok {
			x.bootFile(x.s.cfg.url(x.s.cfg.AssetPath + name))
			x.out.UpdateOption(dhcpv4.OptClassIdentifier(pxe.ClassHTTP))
		}
	default:
		if name, ok := x.program(false); ok {
			x.bootFile(name)
			x.pxeOptions()
		}
	}
}

// program chooses the boot program by option 93; without one the operator gets a diagnosis and the client no file.
func (x *exchange) program(chain bool) (string, bool) {
	arch := x.seen.Client.Arch
	for _, c := range []bool{chain, !chain} {
		if name, ok := ipxe.Program(arch, c); ok && x.s.programs.Has(name) {
			return name, true
		}
	}
	if name, ok := ipxe.Program(arch, chain); ok {
		x.seen.Problem = fmt.Sprintf("no boot program for %s: %s is not in the payload; name one in the settings", arch, name)
	} else {
		x.seen.Problem = fmt.Sprintf("no boot program for %s", arch)
	}
	return "", false
}

// bootFile names the file in the BOOTP fields and in options 66 and 67; U-Boot reads the fields only, some UEFI
// firmware the options only.
func (x *exchange) bootFile(file string) {
	x.seen.File = file
	server := x.s.cfg.Server.String()
	x.out.ServerIPAddr = x.s.cfg.Server.AsSlice()
	x.out.ServerHostName = server
	x.out.BootFileName = file
	x.out.UpdateOption(dhcpv4.OptTFTPServerName(server))
	x.out.UpdateOption(dhcpv4.OptBootFileName(file))
}

// pxeOptions makes the reply one that PXE firmware acts on at once (PXE 2.1 2.2.3, RFC 4578 2.3).
func (x *exchange) pxeOptions() {
	x.out.UpdateOption(dhcpv4.OptClassIdentifier(pxe.ClassPXE))
	x.out.UpdateOption(pxe.VendorUseBootFile())
	if id := x.in.Options.Get(dhcpv4.OptionClientMachineIdentifier); len(id) == 17 {
		x.out.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, id))
	}
}
