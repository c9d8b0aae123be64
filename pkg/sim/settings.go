package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/racker-project/racker/pkg/rack"
)

// Firmware of a server.
const (
	FirmwareBIOS = "bios"
	FirmwareUEFI = "uefi"
)

// Boot orders of a server's firmware.
const (
	OrderNetwork = "network"
	OrderDisk    = "disk"
)

// Buses of a server's disks.
const (
	BusVirtio = "virtio"
	BusNVMe   = "nvme"
	BusSATA   = "sata"
)

// What a disk holds before anything was installed on it; any other value is the name of a disk image file.
const (
	FillNone   = ""
	FillRandom = "random" // random bytes everywhere; takes the disk's whole size on the host
	FillDirty  = "dirty"  // random bytes in every MiB, of which they take a sixteenth
	FillGPT    = "gpt"    // a partition table with the remains of another system
)

// DefaultPrefix is the internal network when sim.yaml names none.
const DefaultPrefix = "172.24.213.0/24"

// Settings is sim.yaml: what nodes.csv does not say about the simulated machines. Zero values mean the default.
type Settings struct {
	// Prefix is the internal network; its first host is the management node when the rack sets that address itself.
	Prefix netip.Prefix `yaml:"prefix"`
	// MTU is the most that the switches and their ports carry in a frame besides its Ethernet and VLAN headers, 1500 to 9216 bytes.
	MTU int `yaml:"mtu"`
	// Nodes has the settings of servers, by any word that names a row of nodes.csv.
	Nodes map[string]Machine `yaml:"nodes"`
}

// Machine is the hardware of one server.
type Machine struct {
	// Firmware is FirmwareBIOS or FirmwareUEFI.
	Firmware string `yaml:"firmware"`
	// Memory is in MiB, 256 to 65536.
	Memory int `yaml:"memory"`
	// CPUs is 1 to 16.
	CPUs int `yaml:"cpus"`
	// Disks are in the order of their boot priority.
	Disks []Disk `yaml:"disks"`
	// DiskBus is BusVirtio, BusNVMe or BusSATA, for every disk.
	DiskBus string `yaml:"disk_bus"`
	// RTC is what the battery-backed clock says at the first power-on; zero means the right time.
	RTC time.Time `yaml:"rtc"`
	// HTTPBoot makes UEFI firmware boot by HTTP instead of PXE.
	HTTPBoot bool `yaml:"http_boot"`
	// Order is OrderNetwork or OrderDisk, what the firmware tries first when the BMC says nothing.
	Order string `yaml:"boot_order"`
	// NoInBand leaves out the server's own access to its BMC.
	NoInBand bool `yaml:"no_in_band_bmc"`
	// NICs are the addresses of further NICs, two at most; they are on the public network.
	NICs []rack.MAC `yaml:"nics"`
	// Serial is in SMBIOS type 1; empty means the one of the row, else one made from the primary MAC.
	Serial string `yaml:"serial"`
}

// Disk is one disk of a server.
type Disk struct {
	// Size in bytes.
	Size Size `yaml:"size"`
	// Fill is one of the Fill constants, or the path of a disk image to begin with.
	Fill string `yaml:"fill"`
	// Serial as the disk tells it; at most 20 bytes. Empty means one made from the node's name.
	Serial string `yaml:"serial"`
}

// ReadSettings reads a sim.yaml. A file that is not there gives the defaults. Unknown keys are errors.
func ReadSettings(path string) (*Settings, error) {
	s := &Settings{}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read simulator settings: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read simulator settings %s: %w", path, err)
	}
	return s, nil
}

// prefix is the internal network.
func (s *Settings) prefix() netip.Prefix {
	if s.Prefix.IsValid() {
		return s.Prefix
	}
	return netip.MustParsePrefix(DefaultPrefix)
}

// Sizes of frames that a switch can be set to, in bytes.
const (
	DefaultMTU = 1500
	mostMTU    = 9216
)

// mtu is how much the switches carry in a frame.
func (s *Settings) mtu() (int, error) {
	if n := or(s.MTU, DefaultMTU); n >= DefaultMTU && n <= mostMTU {
		return n, nil
	}
	return 0, fmt.Errorf("simulator settings: mtu %d: want %d to %d", s.MTU, DefaultMTU, mostMTU)
}

// machines gives each server's hardware, by node name, with all defaults filled in.
func (s *Settings) machines(r *rack.Rack) (map[string]Machine, error) {
	out := map[string]Machine{}
	servers := r.Servers()
	for i, n := range servers {
		out[n.Name] = defaultMachine(i)
	}
	var errs []error
	for word, m := range s.Nodes {
		n := r.Find(word)
		if n == nil || n.Management {
			errs = append(errs, fmt.Errorf("simulator settings: %q names no server of nodes.csv", word))
			continue
		}
		out[n.Name] = m.over(out[n.Name])
	}
	for _, n := range servers {
		m := out[n.Name].identified(n)
		if err := m.validate(); err != nil {
			errs = append(errs, fmt.Errorf("simulator settings of %s: %w", n.Name, err))
		}
		out[n.Name] = m
	}
	return out, errors.Join(errs...)
}
