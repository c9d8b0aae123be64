package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/rack"
)

// ReadRack reads nodes.csv of the OEM directory by the settings, with the interfaces that the machine has.
func ReadRack(settings *config.Settings, local []rack.Interface) (*rack.Rack, error) {
	name := filepath.Join(settings.OEMDir, rack.NodesFile)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &rack.CSVError{File: name, Msg: "does not exist", Hint: "copy one from oem-examples, or use --oem-dir"}
	}
	if err != nil {
		return nil, fmt.Errorf("read nodes.csv: %w", err)
	}
	defer f.Close()
	return rack.ReadCSV(f, name, rack.ReadOptions{
		Local: local, ManagementMAC: settings.ManagementMAC, InternalInterface: settings.Internal.Interface,
	})
}

// InternalInterface names the interface of the rack-internal network: the one set, which must exist, or the one with
// the management node's secondary MAC.
func InternalInterface(settings *config.Settings, r *rack.Rack, local []rack.Interface) (string, error) {
	set := settings.Internal.Interface
	if set == "" {
		return rack.InternalInterface(r, local)
	}
	if !slices.ContainsFunc(local, func(i rack.Interface) bool { return i.Name == set }) {
		return "", fmt.Errorf("internal.interface: there is no interface %s", set)
	}
	return set, nil
}

// LocalInterfaces gives the interfaces of this machine.
func LocalInterfaces() ([]rack.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var out []rack.Interface
	for _, ifc := range all {
		out = append(out, rack.Interface{Name: ifc.Name, MAC: rack.MACFrom(ifc.HardwareAddr)})
	}
	return out, nil
}
