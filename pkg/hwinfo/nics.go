package hwinfo

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/api"
)

// NICs gives the Ethernet interfaces that are hardware, in natural order of name, with their permanent MACs. Link is
// what the kernel knows now: an interface that is down has none.
func (r Reader) NICs(ctx context.Context) ([]api.NIC, error) {
	entries, err := os.ReadDir(r.sys("class/net"))
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var nics []api.NIC
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dir := r.sys("class/net", e.Name())
		if _, err := os.Stat(filepath.Join(dir, "device")); err != nil || attr(dir, "type") != "1" { // ARPHRD_ETHER
			continue
		}
		nics = append(nics, api.NIC{
			Name:   e.Name(),
			MAC:    r.permanentMAC(e.Name(), dir),
			Driver: link(dir, "device", "driver"),
			Link:   attr(dir, "carrier") == "1",
		})
	}
	slices.SortFunc(nics, func(a, b api.NIC) int { return natural(a.Name, b.Name) })
	return nics, nil
}

// permanentMAC gives the address that the hardware came with. Only for an interface whose address was changed the driver
// must be asked.
func (r Reader) permanentMAC(name, dir string) string {
	const permanent = "0" // NET_ADDR_PERM
	if attr(dir, "addr_assign_type") != permanent && r.sys() == "/sys" {
		if mac := askPermanentMAC(name); mac != "" {
			return mac
		}
	}
	if mac := attr(dir, "bonding_slave", "perm_hwaddr"); mac != "" {
		return mac
	}
	return attr(dir, "address")
}

// askPermanentMAC uses ETHTOOL_GPERMADDR; linux/ethtool.h. It gives "" when the driver does not tell.
func askPermanentMAC(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written to it
	request := struct {
		cmd, size uint32
		data      [32]byte
	}{cmd: unix.ETHTOOL_GPERMADDR, size: 32}
	var ifreq struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of the union of struct ifreq
	}
	if copy(ifreq.name[:unix.IFNAMSIZ-1], name) < len(name) {
		return ""
	}
	ifreq.data = unsafe.Pointer(&request)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq)))
	mac := net.HardwareAddr(request.data[:6])
	if errno != 0 || request.size != 6 || [6]byte(mac) == [6]byte{} {
		return ""
	}
	return mac.String()
}
