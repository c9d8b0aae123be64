package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
)

// clearWay does what comes before the first byte of the image: idle devices that hold one of the disks are taken apart, and
// the signatures of the other disks erased, so that no older system there is started or mixed up with the new one.
func (a *Agent) clearWay(ctx context.Context, plan *api.DiskResult) error {
	for _, d := range append([]api.Disk{plan.Disk}, plan.Wipes...) {
		if a.machine.Release == nil {
			break
		}
		if err := a.machine.Release(ctx, d); err != nil {
			return fmt.Errorf("release %s: %w", d.Path, err)
		}
	}
	for _, d := range plan.Wipes {
		if err := a.wipe(ctx, d); err != nil {
			return fmt.Errorf("erase the signatures of %s: %w", d.Path, err)
		}
		a.log.Info("signatures erased", "file", d.Path, "serial", d.Serial)
	}
	return nil
}

// wipe erases the signatures of one disk.
func (a *Agent) wipe(ctx context.Context, disk api.Disk) (err error) {
	d, err := a.machine.OpenDisk(disk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Wipe(ctx); err != nil {
		return err
	}
	return d.RereadPartitions(ctx)
}
