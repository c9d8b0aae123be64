package sim

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/racker-project/racker/pkg/rack"
)

// readNodes reads the rack's nodes.csv. The management node is the first row, as is the custom.
func (f Folder) readNodes() (*rack.Rack, error) {
	file, err := os.Open(filepath.Join(f.OEM(), nodesFile))
	if err != nil {
		return nil, fmt.Errorf("read nodes.csv: %w", err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read nodes.csv: %w", err)
	}
	out := &rack.Rack{}
	for i, row := range rows {
		if i == 0 || len(row) < 3 {
			continue
		}
		n := rack.Node{Line: i + 1, Management: len(out.Nodes) == 0, Name: fmt.Sprintf("node-%d", len(out.Nodes))}
		for k, m := range []*rack.MAC{&n.Primary, &n.BMC, &n.Secondary} {
			if err := m.UnmarshalText([]byte(strings.TrimSpace(row[k]))); err != nil {
				return nil, fmt.Errorf("nodes.csv line %d: %w", i+1, err)
			}
		}
		out.Nodes = append(out.Nodes, n)
	}
	if len(out.Nodes) < 2 {
		return nil, errors.New("nodes.csv: want a management node and at least one server")
	}
	return out, checkNames(out)
}
