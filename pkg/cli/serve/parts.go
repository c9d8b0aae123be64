package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/initrd"
	"github.com/racker-project/racker/pkg/ipxe"
	"github.com/racker-project/racker/pkg/netif"
	"github.com/racker-project/racker/pkg/provision"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// authorityKey is where racker's CA is kept.
const authorityKey = "secret/authority"

// authority gives the rack's CA, and makes it at the first start.
func authority(ctx context.Context, st store.Store) (*bootd.Authority, error) {
	kv, err := st.Get(ctx, authorityKey)
	if err == nil {
		return bootd.ParseAuthority(kv.Value)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("load the CA: %w", err)
	}
	a, err := bootd.NewAuthority(time.Now())
	if err != nil {
		return nil, err
	}
	b, err := a.Marshal()
	if err != nil {
		return nil, err
	}
	if _, err := st.Txn(ctx, nil, store.Put(authorityKey, b)); err != nil {
		return nil, fmt.Errorf("store the CA: %w", err)
	}
	return a, nil
}

// payload is what the release brings for booting: iPXE programs and the GRUB that boots install disks.
type payload struct {
	programs *ipxe.Programs
	image    []byte
}

// grubName is the GRUB image's name in the payload.
const grubName = "grubx64.efi"

func openPayload(s config.Settings) (*payload, error) {
	programs, err := ipxe.LoadPrograms(s.PayloadDir, filepath.Join(s.StateDir, "ipxe"))
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	image, err := os.ReadFile(filepath.Join(s.PayloadDir, grubName))
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return &payload{programs: programs, image: image}, nil
}

func (p *payload) grub(esp string) ([]byte, error) { return ipxe.GRUBForESP(p.image, esp) }

// areaIPXE is the area of the iPXE programs below /assets/, for UEFI HTTP boot (dhcpd.DefaultAssetPath).
const areaIPXE = "ipxe"

// assets are the folders below /assets/. Links that lead out of them are not followed.
func (s *site) assets() (map[string]fs.FS, error) {
	out := map[string]fs.FS{areaIPXE: s.payload.programs}
	for _, area := range []string{bootd.AreaImages, "microkernels", areaUpdates} {
		root, err := os.OpenRoot(filepath.Join(s.Settings.StateDir, area))
		if err != nil {
			return nil, fmt.Errorf("assets: %w", err)
		}
		out[area] = root.FS()
	}
	return out, nil
}

// microkernel finds the one that servers boot now, so that a new one needs no restart.
func (s *site) microkernel() (provision.Microkernel, error) {
	dir := filepath.Join(s.Settings.StateDir, "microkernels")
	var k *initrd.Microkernel
	var err error
	if id := s.Settings.Microkernel.Default; id != "" {
		k, err = initrd.Get(dir, id)
	} else {
		k, err = initrd.Default(dir)
	}
	if err != nil {
		return provision.Microkernel{}, fmt.Errorf("servers have nothing to boot: %w", err)
	}
	at := "microkernels/" + k.ID + "/"
	return provision.Microkernel{ID: k.ID, Kernel: at + k.Kernel.Name, Initrd: at + k.Initrd.Name}, nil
}

func (s *site) kernelArgs() []string {
	args := append([]string(nil), s.Settings.Microkernel.Args...)
	if c := s.Settings.Console; c != "" {
		args = append(args, "console="+c)
	}
	return args
}

// neighbours asks the kernel's ARP table of the internal interface.
type neighbours struct{ iface string }

// Neighbour implements provision.Neighbours.
func (n neighbours) Neighbour(ctx context.Context, addr netip.Addr) (rack.MAC, error) {
	e, err := netif.FindNeighbour(ctx, n.iface, addr)
	return e.MAC, err
}

// bindTo binds a socket to an interface before it gets its address.
func bindTo(iface string) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var berr error
		err := c.Control(func(fd uintptr) { berr = unix.BindToDevice(int(fd), iface) })
		if err := errors.Join(err, berr); err != nil {
			return fmt.Errorf("bind to %s: %w", iface, err)
		}
		return nil
	}
}

// named adds to an error about a taken port who has it.
func (s *site) named(listen func(context.Context) error, network string, ports ...int) func(context.Context) error {
	return func(ctx context.Context) error {
		err := listen(ctx)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		var who []string
		for _, p := range ports {
			if user := netif.PortUser(network, p); user != "" {
				who = append(who, fmt.Sprintf("port %d is used by %s", p, user))
			}
		}
		if len(who) == 0 {
			return err
		}
		return fmt.Errorf("%w: %s", err, strings.Join(who, ", "))
	}
}
