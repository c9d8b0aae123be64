package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
)

// diskTries is how often, a second apart, an empty choice is made again: controllers find disks in their own time.
const diskTries = 20

// chooseDisk picks the install disk, and says what is erased with it. A disk that is not there yet gets some time to
// appear. The server lets the agent wait until somebody has confirmed the disk, and then asks again: what is on the disks
// is read anew, so that what is written is what was confirmed.
func (a *Agent) chooseDisk(ctx context.Context, w *work) (api.DiskResult, error) {
	if w.shown != nil {
		if err := a.survey(ctx); err != nil {
			return api.DiskResult{}, err
		}
	}
	w.shown = nil
	for try := 1; ; try++ {
		plan, err := hwinfo.Plan(a.hardware.Disks, w.job.Disk, w.job.Erase)
		if err == nil {
			w.shown = &plan
			a.log.Info("install disk chosen", "file", plan.Disk.Path, "bytes", plan.Disk.Size, "model", plan.Disk.Model,
				"serial", plan.Disk.Serial, "wwn", plan.Disk.WWN, "count", plan.Matched)
			return plan, nil
		}
		if try == diskTries || errors.Is(err, hwinfo.ErrErase) {
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

// target gives the disks of the job, after the checks without which nothing is written. Both steps were done before,
// unless the server resumes a job that this boot has not seen from its beginning.
func (a *Agent) target(ctx context.Context, w *work) (*api.DiskResult, error) {
	if !w.verified {
		if err := a.verify(w); err != nil {
			return nil, err
		}
	}
	if w.shown == nil {
		plan, err := a.chooseDisk(ctx, w)
		if err != nil {
			return nil, err
		}
		if w.job.Shown != "" && plan.Digest() != w.job.Shown {
			w.shown = nil
			return nil, fmt.Errorf("the disks are not those that were confirmed: now it would be %s", plan.Disk.Path)
		}
	}
	return w.shown, nil
}
