package provision

import (
	"context"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// diskOrder says which disk an install takes and what it may erase. The disk that nodes.csv names wins over the declared
// rule, which is the digest config; man is nil while the image is not known, and r while there is no run.
func (m *Machine) diskOrder(ctx context.Context, n *rack.Node, rec *Record, r *runRecord, config string, man *image.Manifest) (rule api.DiskRule, erase api.EraseRule, err error) {
	c, err := m.declared(ctx, n.Primary, config)
	if err != nil {
		return rule, erase, fmt.Errorf("%s: %w", n.Where(), err)
	}
	if c != nil {
		rule = c.Disk
		erase = api.EraseRule{Wipe: c.Wipe, WipeOldOS: c.WipeOldOS, WipeForeign: c.WipeForeign}
	}
	if n.Disk != "" {
		rule = api.DiskRule{Name: n.Disk}
	}
	if r != nil {
		erase.WipeOldOS = erase.WipeOldOS || r.Request.WipeOldOS
		erase.WipeForeign = erase.WipeForeign || r.Request.WipeForeign
	}
	if man != nil {
		rule.MinSize = max(rule.MinSize, man.MinDisk, man.RawSize)
	}
	if rec.Install != nil {
		erase.Own = rec.Install.Disk
		if rule.Name == "" {
			rule.Remembered = rec.Install.Disk
		}
	}
	return rule, erase, nil
}
