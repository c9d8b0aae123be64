package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
	"github.com/racker-project/racker/pkg/rack"
)

// surveyor reads who the machine is and what it has.
type surveyor struct {
	reader hwinfo.Reader
	boot   rack.MAC // of the NIC that booted
	again  func()   // looks for drivers of devices that appeared
}

// survey gives what can be read; the error joins what cannot.
func (s surveyor) survey(ctx context.Context) (api.Identity, api.Hardware, error) {
	s.again()
	sys, sysErr := s.reader.System(ctx)
	disks, diskErr := s.reader.Disks(ctx)
	bmc, bmcErr := s.reader.BMCMAC(ctx)
	switch {
	case errors.Is(bmcErr, hwinfo.ErrNoBMC):
		bmcErr = nil
	case bmcErr != nil:
		// a BMC that is busy may answer the second time; its MAC guards against writing the wrong machine
		bmc, bmcErr = s.reader.BMCMAC(ctx)
	}
	id := api.Identity{
		BootMAC: s.boot.String(), BMCMAC: bmc, Serial: sys.Serial, UUID: sys.UUID, Vendor: sys.Vendor, Product: sys.Product,
		Firmware: sys.Firmware, Arch: runtime.GOARCH,
	}
	for _, n := range sys.NICs {
		id.MACs = append(id.MACs, n.MAC)
	}
	hw := api.Hardware{CPUs: sys.CPUs, MemoryBytes: sys.MemoryBytes, NICs: sys.NICs, Disks: disks}
	if sysErr != nil {
		sysErr = fmt.Errorf("survey the machine: %w", sysErr)
	}
	if diskErr != nil {
		diskErr = fmt.Errorf("survey the disks: %w", diskErr)
	}
	return id, hw, errors.Join(sysErr, diskErr, bmcErr)
}
