package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/sim"
)

// How BMCs get their addresses.
const (
	// BMCLeased puts BMCs on the internal network, where they ask for addresses by DHCP.
	BMCLeased = "leased"
	// BMCStatic gives BMCs a network of their own, behind a router that the management node reaches by its public NIC.
	// The management node's neighbour table then holds the servers alone.
	BMCStatic = "static"
)

// FirmwareMixed is a firmware of the fleet's settings: UEFI for every third server, as in racks of virtual machines.
const FirmwareMixed = "mixed"

// Settings is sim.yaml in the folder of a fleet. Zero values mean the default.
type Settings struct {
	// Prefix is the internal network; by default 172.24.213.0/24, or a larger one around it that has room.
	Prefix netip.Prefix `yaml:"prefix"`
	// BMC is BMCLeased or BMCStatic; the latter by default for more than 250 servers.
	BMC string `yaml:"bmc"`
	// BMCNetwork holds the addresses of BMCStatic; by default 10.213.0.0/16.
	BMCNetwork netip.Prefix `yaml:"bmc_network"`
	// Scale multiplies all times that servers take by themselves; 0 means 1.
	Scale float64 `yaml:"scale"`
	// Fleet is what every server is like, Nodes what single ones are, by any word that names a row of nodes.csv.
	Fleet Server            `yaml:"fleet"`
	Nodes map[string]Server `yaml:"nodes"`
}

// Server is what a fake server is like. By default it takes about 20 seconds from power-on to ready.
type Server struct {
	// Firmware is sim.FirmwareBIOS, sim.FirmwareUEFI or FirmwareMixed.
	Firmware string `yaml:"firmware"`
	// HTTPBoot makes UEFI firmware boot by HTTP instead of PXE.
	HTTPBoot bool `yaml:"http_boot"`
	// Order is sim.OrderNetwork or sim.OrderDisk, what the firmware tries first when the BMC says nothing.
	Order string `yaml:"boot_order"`
	// POST is from power-on to the first device, 4 s; IPXE its program's start, 1 s; Kernel the microkernel's, 4 s; Boot the
	// installed system's, 5 s; Shutdown how long that takes to go down, 1 s.
	POST     time.Duration `yaml:"post"`
	IPXE     time.Duration `yaml:"ipxe"`
	Kernel   time.Duration `yaml:"kernel"`
	Boot     time.Duration `yaml:"boot"`
	Shutdown time.Duration `yaml:"shutdown"`
	// Speed is how fast its disk is written, in bytes per second; 200M by default.
	Speed sim.Size `yaml:"speed"`
	// Disk is the size of its disk; 64G by default.
	Disk sim.Size `yaml:"disk"`
	// LoadCap is how much of kernel and initramfs it fetches; all by default.
	LoadCap sim.Size `yaml:"load_cap"`
	// Serial is in SMBIOS type 1; empty means the one of the row, else one made from the primary MAC.
	Serial string `yaml:"serial"`
	// NoInBand leaves out the server's own access to its BMC.
	NoInBand bool `yaml:"no_in_band_bmc"`
	// Faults are words of sim.FaultWords that it has from the start.
	Faults []string `yaml:"faults"`

	faults   sim.Faults
	password string // of its BMC
}

// ReadSettings reads a sim.yaml. A file that is not there gives the defaults. Unknown keys are errors.
func ReadSettings(path string) (Settings, error) {
	var s Settings
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("read fleet settings: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("read fleet settings %s: %w", path, err)
	}
	return s, nil
}

// Over gives base with everything that s sets.
func (s Settings) Over(base Settings) Settings {
	set(&base.Prefix, s.Prefix)
	set(&base.BMC, s.BMC)
	set(&base.BMCNetwork, s.BMCNetwork)
	set(&base.Scale, s.Scale)
	base.Fleet = s.Fleet.over(base.Fleet)
	if s.Nodes != nil {
		base.Nodes = s.Nodes
	}
	return base
}

// over gives base with everything that s sets.
func (s Server) over(base Server) Server {
	set(&base.Firmware, s.Firmware)
	set(&base.Order, s.Order)
	set(&base.POST, s.POST)
	set(&base.IPXE, s.IPXE)
	set(&base.Kernel, s.Kernel)
	set(&base.Boot, s.Boot)
	set(&base.Shutdown, s.Shutdown)
	set(&base.Speed, s.Speed)
	set(&base.Disk, s.Disk)
	set(&base.LoadCap, s.LoadCap)
	set(&base.Serial, s.Serial)
	base.HTTPBoot = base.HTTPBoot || s.HTTPBoot
	base.NoInBand = base.NoInBand || s.NoInBand
	base.Faults = slices.Concat(base.Faults, s.Faults)
	return base
}

// set changes a value, unless the new one is the zero value.
func set[T comparable](to *T, value T) {
	var zero T
	if value != zero {
		*to = value
	}
}

// defaultServer is a server when nothing is said.
func defaultServer() Server {
	return Server{
		Firmware: FirmwareMixed, Order: sim.OrderNetwork,
		POST: 4 * time.Second, IPXE: time.Second, Kernel: 4 * time.Second, Boot: 5 * time.Second, Shutdown: time.Second,
		Speed: 200 << 20, Disk: 64 << 30,
	}
}

// servers gives what each server is like, by name, with all defaults filled in.
func (s Settings) servers(r *rack.Rack) (map[string]Server, error) {
	out := map[string]Server{}
	rows := r.Servers()
	all := s.Fleet.over(defaultServer())
	for _, n := range rows {
		out[n.Name] = all
	}
	var errs []error
	for word, own := range s.Nodes {
		n := r.Find(word)
		if n == nil || n.Management {
			errs = append(errs, fmt.Errorf("fleet settings: %q names no server of nodes.csv", word))
			continue
		}
		out[n.Name] = own.over(out[n.Name])
	}
	for i, n := range rows {
		one := out[n.Name].identified(n, i)
		err := one.validate()
		if err == nil {
			one.faults, err = sim.ParseFaults(one.Faults)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("fleet settings of %s: %w", n.Name, err))
		}
		out[n.Name] = one
	}
	return out, errors.Join(errs...)
}

// identified fills in what differs from server to server.
func (s Server) identified(n *rack.Node, i int) Server {
	if s.Firmware == FirmwareMixed {
		s.Firmware = sim.FirmwareBIOS
		if i%3 == 1 {
			s.Firmware = sim.FirmwareUEFI
		}
	}
	if s.Serial == "" {
		s.Serial = n.Serial
	}
	if s.Serial == "" {
		s.Serial = "FAKE" + strings.ToUpper(strings.ReplaceAll(n.Primary.String(), ":", "")[6:])
	}
	return s
}

// validate names everything that cannot be.
func (s Server) validate() error {
	var errs []error
	if s.Firmware != sim.FirmwareBIOS && s.Firmware != sim.FirmwareUEFI {
		errs = append(errs, fmt.Errorf("firmware %q: want %s, %s or %s", s.Firmware, sim.FirmwareBIOS, sim.FirmwareUEFI, FirmwareMixed))
	}
	if s.HTTPBoot && s.Firmware != sim.FirmwareUEFI {
		errs = append(errs, errors.New("http_boot: only UEFI firmware boots by HTTP"))
	}
	if s.Order != sim.OrderNetwork && s.Order != sim.OrderDisk {
		errs = append(errs, fmt.Errorf("boot_order %q: want %s or %s", s.Order, sim.OrderNetwork, sim.OrderDisk))
	}
	for name, d := range map[string]time.Duration{"post": s.POST, "ipxe": s.IPXE, "kernel": s.Kernel, "boot": s.Boot, "shutdown": s.Shutdown} {
		if d < 0 || d > time.Hour {
			errs = append(errs, fmt.Errorf("%s %s: want at most an hour", name, d))
		}
	}
	return errors.Join(errs...)
}

// validate names what cannot be about the fleet as a whole.
func (s Settings) validate() error {
	var errs []error
	if s.BMC != "" && s.BMC != BMCLeased && s.BMC != BMCStatic {
		errs = append(errs, fmt.Errorf("fleet settings: bmc %q: want %s or %s", s.BMC, BMCLeased, BMCStatic))
	}
	if s.Scale < 0 || s.Scale > 1000 {
		errs = append(errs, fmt.Errorf("fleet settings: scale %g: want more than 0, at most 1000", s.Scale))
	}
	return errors.Join(errs...)
}
