package agent

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
)

// Machine is what the job loop needs of the hardware and the kernel below it. ThisMachine gives the real one.
type Machine struct {
	// Survey tells who the machine is and what it has. It may take seconds; it is called before the first check-in and
	// after each job.
	Survey func(ctx context.Context) (api.Identity, api.Hardware, error)
	// OpenDisk opens a disk for writing, for us alone.
	OpenDisk func(disk api.Disk) (*image.Disk, error)
	// Release takes idle devices apart that are made of the disk; nil for a machine that has none.
	Release func(ctx context.Context, disk api.Disk) error
	// Mount mounts a device at a new private directory; leave unmounts it and removes the directory.
	Mount func(device, filesystem string) (dir string, leave func() error, err error)
	// EFIVars is the directory of efivarfs; empty when the firmware is no UEFI or offers no variables.
	EFIVars string
	// BootFromDisk has the machine's own BMC boot the disk from now on; nil for a machine that has none.
	BootFromDisk func(ctx context.Context, efi bool) error
	// Now is the machine's clock; SetClock sets it, and the battery-backed one.
	Now      func() time.Time
	SetClock func(time.Time) error
	// Reboot does not return on a real machine unless it fails.
	Reboot func() error

	// What follows is for machines without hardware; a real one leaves it nil.

	// Dial opens connections to the server.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Between stands between the agent and the server's API.
	Between func(http.RoundTripper) http.RoundTripper
	// Write puts an image onto a disk, in place of OpenDisk and image.Write, and gives the partition GUID of its EFI system
	// partition, empty without one.
	Write func(ctx context.Context, disk api.Disk, src image.Fetcher, m *image.Manifest, o image.Options) (esp string, err error)
	// Place puts an Ignition config onto the OEM partition of a disk, in place of Mount, and names the partition.
	Place func(ctx context.Context, disk api.Disk, config []byte) (partition string, err error)
}
