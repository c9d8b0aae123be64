package agent

import (
	"context"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
)

// diskTries is how often, a second apart, an empty choice is made again: controllers find disks in their own time.
const diskTries = 20

// chooseDisk picks the install disk. A disk that is not there yet gets some time to appear.
func (a *Agent) chooseDisk(ctx context.Context, w *work) (api.DiskResult, error) {
	for try := 1; ; try++ {
		disk, err := hwinfo.ChooseDisk(a.hardware.Disks, w.job.Disk)
		if err == nil {
			w.disk = &disk
			a.log.Info("install disk chosen", "file", disk.Path, "bytes", disk.Size, "model", disk.Model,
				"serial", disk.Serial, "wwn", disk.WWN)
			return api.DiskResult{Disk: disk, Others: hwinfo.OtherSystems(a.hardware.Disks, disk)}, nil
		}
		if try == diskTries {
			return api.DiskResult{}, err
		}
		if err := (pace{First: a.tick, Most: a.tick}).wait(ctx, 0); err != nil {
			return api.DiskResult{}, err
		}
		if err := a.survey(ctx); err != nil {
			return api.DiskResult{}, err
		}
	}
}

// target gives the disk of the job, after the checks without which nothing is written. Both steps were done before,
// unless the server resumes a job that this boot has not seen from its beginning.
func (a *Agent) target(ctx context.Context, w *work) (api.Disk, error) {
	if !w.verified {
		if err := a.verify(w); err != nil {
			return api.Disk{}, err
		}
	}
	if w.disk == nil {
		if _, err := a.chooseDisk(ctx, w); err != nil {
			return api.Disk{}, err
		}
	}
	return *w.disk, nil
}
