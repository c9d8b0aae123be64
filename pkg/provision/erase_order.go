package provision

import (
	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// diskOrder says which disk an install takes and what it may erase. The disk that nodes.csv names wins over the declared
// rule. c is nil without a declared config, man while the image is not known.
func diskOrder(n *rack.Node, rec *Record, req *api.RunRequest, c *api.NodeConfig, man *image.Manifest) (rule api.DiskRule, erase api.EraseRule) {
	if c != nil {
		rule = c.Disk
		erase = api.EraseRule{Wipe: c.Wipe, WipeOldOS: c.WipeOldOS, WipeForeign: c.WipeForeign}
	}
	if n.Disk != "" {
		rule = api.DiskRule{Name: n.Disk}
	}
	erase.WipeOldOS = erase.WipeOldOS || req.WipeOldOS
	erase.WipeForeign = erase.WipeForeign || req.WipeForeign
	if man != nil {
		rule.MinSize = max(rule.MinSize, man.MinDisk, man.RawSize)
		rule.SectorSize = man.TableSector
	}
	if rec.Install != nil {
		erase.Own = rec.Install.Disk
		if rule.Name == "" {
			rule.Remembered = rec.Install.Disk
		}
	}
	return rule, erase
}
