package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/racker-project/racker/pkg/rack"
)

// ReadNodes reads the rack's nodes.csv. The management node is the first row, as is the custom. Servers without a name
// get the one that racker will give them at first.
func (f Folder) ReadNodes(prefix netip.Prefix) (*rack.Rack, error) {
	open := rack.ReadOptions{SkipLocal: true}
	r, err := f.readCSV(open)
	if err != nil {
		return nil, err
	}
	if len(r.Nodes) < 2 {
		return nil, errors.New("nodes.csv: want a management node and at least one server")
	}
	if r, err = f.readCSV(rack.ReadOptions{ManagementMAC: r.Nodes[0].Primary, InternalInterface: InternalInterface}); err != nil {
		return nil, err
	}
	plan, err := rack.MakePlan(prefix, r, nil)
	if err != nil {
		return nil, err
	}
	plan.Apply(r)
	return r, checkNames(r)
}

func (f Folder) readCSV(opt rack.ReadOptions) (*rack.Rack, error) {
	file, err := os.Open(filepath.Join(f.OEM(), nodesFile))
	if err != nil {
		return nil, fmt.Errorf("read nodes.csv: %w", err)
	}
	defer file.Close()
	return rack.ReadCSV(file, nodesFile, opt)
}
