package provision

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/ipxe"
	"github.com/racker-project/racker/pkg/rack"
)

// boot is what a node is told when it boots over the network.
type boot string

const (
	bootMicrokernel boot = "microkernel"
	bootDisk        boot = "disk"
)

// answer is the pure function of a node's record that decides every network boot: only an armed job gets the
// microkernel. A node that failed before its write began has no job and boots from disk; one that failed later keeps its
// job, so that its half-written disk is never booted.
func answer(r *Record) boot {
	if r.Job != nil {
		return bootMicrokernel
	}
	return bootDisk
}

// site is what boot scripts say of the server.
type site struct {
	server    netip.Addr
	httpPort  int
	httpsPort int
	pin       string
	args      []string
}

func (s site) plain(path string) string {
	return "http://" + netip.AddrPortFrom(s.server, uint16(s.httpPort)).String() + path
}

// microkernelScript boots the microkernel with what the agent must know.
func (s site) microkernelScript(k Microkernel, mac rack.MAC, token string) (string, error) {
	var sc ipxe.Script
	args := append([]string{
		"initrd=initrd.img",
		api.ArgServer + "=https://" + netip.AddrPortFrom(s.server, uint16(s.httpsPort)).String(),
		api.ArgAssets + "=" + s.plain("/assets/"),
		api.ArgPin + "=" + s.pin,
		api.ArgMAC + "=" + mac.String(),
		api.ArgToken + "=" + token,
	}, s.args...)
	sc.Echo("racker: booting the microkernel " + k.ID)
	sc.Kernel(s.plain("/assets/"+k.Kernel), args...)
	sc.Initrd(s.plain("/assets/"+k.Initrd), "initrd.img")
	sc.Boot()
	return sc.Render()
}

// diskScript sends a node to its disk. BIOS firmware goes on to the next boot device at exit. UEFI firmware would end in
// a menu, so there iPXE chains a GRUB that finds the install disk's own EFI system partition and starts its loader.
func (s site) diskScript(platform, esp string) (string, error) {
	var sc ipxe.Script
	sc.Echo("racker: no orders, booting from disk")
	if platform == "efi" {
		if esp != "" {
			sc.Chain(s.plain("/grub/" + esp + "/grubx64.efi")).OrGoOn()
		}
		sc.Exit(1)
	} else {
		sc.Exit(0)
	}
	return sc.Render()
}

// jobSteps are the steps of an install, in order; plain leaves out the one for an image that takes no Ignition.
func jobSteps(plain bool) []api.StepKind {
	if plain {
		return []api.StepKind{api.StepVerify, api.StepDisk, api.StepWrite, api.StepFirmware, api.StepReboot}
	}
	return []api.StepKind{api.StepVerify, api.StepDisk, api.StepWrite, api.StepIgnition, api.StepFirmware, api.StepReboot}
}

// mismatch compares what a machine says of itself with its row, and names both rows when the machine is another's.
// It gives "" when nothing speaks against the row.
func mismatch(r *rack.Rack, n *rack.Node, id *api.Identity) string {
	mac, err := rack.ParseMAC(id.BootMAC)
	if err != nil || mac != n.Primary {
		return fmt.Sprintf("booted from NIC %s, but its row (line %d) says primary MAC %s%s",
			id.BootMAC, n.Line, n.Primary, otherRow(r, n, id.BootMAC))
	}
	if id.BMCMAC != "" && !n.BMC.IsZero() {
		if bmc, err := rack.ParseMAC(id.BMCMAC); err == nil && bmc != n.BMC {
			return fmt.Sprintf("its BMC has MAC %s, but its row (line %d) says BMC MAC %s%s",
				bmc, n.Line, n.BMC, otherRow(r, n, id.BMCMAC))
		}
	}
	if id.Serial != "" && n.Serial != "" && id.Serial != n.Serial {
		return fmt.Sprintf("its serial is %s, but its row (line %d) says %s%s",
			strconv.Quote(id.Serial), n.Line, strconv.Quote(n.Serial), otherRow(r, n, id.Serial))
	}
	return ""
}

func otherRow(r *rack.Rack, not *rack.Node, word string) string {
	if o := r.Find(word); o != nil && o.Primary != not.Primary {
		return fmt.Sprintf(", which is in the row of %s (line %d)", o.Where(), o.Line)
	}
	return ""
}
