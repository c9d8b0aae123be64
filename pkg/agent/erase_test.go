package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
)

// contentsOf reads what is on a disk that is a file, as the survey of a real machine does.
func contentsOf(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	got, err := hwinfo.Contents(t.Context(), f, st.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDiskWaitsToBeConfirmed has the server let the agent wait twice with its disk shown; the disk is read anew each time.
func TestDiskWaitsToBeConfirmed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	shown := map[int]bool{} // by the number of reports: the server looks twice at each
	r.srv.reply = func(rep reported) *api.StepReply {
		if rep.step != 1 || rep.State != api.StepDone {
			return nil
		}
		shown[len(r.srv.reports)] = true
		if len(shown) > 2 {
			return nil
		}
		return &api.StepReply{Stop: true, Again: true, Reason: "its disk waits to be confirmed"}
	}
	var surveys atomic.Int32
	survey := r.machine.Survey
	r.machine.Survey = func(ctx context.Context) (api.Identity, api.Hardware, error) {
		surveys.Add(1)
		return survey(ctx)
	}
	stop := r.start(t)
	r.rebooted(t)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	r.installed(t)
	if n := surveys.Load(); n != 3 {
		t.Errorf("%d surveys, want one at the start and one for each time that the disk is shown again", n)
	}
}

// otherDisk gives the machine another disk with the image of an older install, and what the survey says of it.
func (r *rig) otherDisk(t *testing.T) (file string) {
	t.Helper()
	raw, err := os.ReadFile(r.img.raw)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	survey := r.machine.Survey
	r.machine.Survey = func(ctx context.Context) (api.Identity, api.Hardware, error) {
		id, hw, err := survey(ctx)
		old := fileDisk(t, file)
		old.Name, old.Serial, old.Size, old.Contents = "vdb", "DISK2", old.Size+1<<30, contentsOf(t, file)
		if len(old.Contents) > 0 {
			old.OS = "laid out like Flatcar"
		}
		hw.Disks = append(hw.Disks, old)
		return id, hw, err
	}
	return file
}

// TestOlderSystemStopsTheJob leaves both disks as they are, and says what would help.
func TestOlderSystemStopsTheJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := r.otherDisk(t)
	before := contentsOf(t, file)
	r.start(t)
	r.srv.await(t, "the failure", func() bool {
		last := len(r.srv.reports) - 1
		return last >= 0 && r.srv.reports[last].State == api.StepFailed
	})
	rep := r.srv.reports[len(r.srv.reports)-1]
	if rep.step != 1 || !rep.Lasting || !strings.Contains(rep.Reason, "--wipe-old-os") || !strings.Contains(rep.Reason, "DISK2") {
		t.Errorf("step %d failed with %q, lasting %t", rep.step, rep.Reason, rep.Lasting)
	}
	if diff := cmp.Diff(before, contentsOf(t, file)); diff != "" || len(before) == 0 {
		t.Errorf("the other disk: %s", diff)
	}
}

// TestOlderSystemIsWiped erases the signatures of the other disk before the image is written.
func TestOlderSystemIsWiped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := r.otherDisk(t)
	r.srv.job.Erase.WipeOldOS = true
	var released []string
	r.machine.Release = func(_ context.Context, d api.Disk) error {
		released = append(released, d.Name)
		return nil
	}
	stop := r.start(t)
	r.rebooted(t)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	r.installed(t)
	if got := contentsOf(t, file); got != nil {
		t.Errorf("the other disk still holds %q", got)
	}
	if diff := cmp.Diff([]string{"vda", "vdb"}, released); diff != "" {
		t.Error(diff)
	}
	var shown api.DiskResult
	r.result(t, 1, &shown)
	if len(shown.Wipes) != 1 || shown.Wipes[0].Serial != "DISK2" || shown.Matched != 1 {
		t.Errorf("shown: %+v", shown)
	}
}

// TestOtherDiskThanConfirmed resumes a job at its write in a boot that has not shown its disks.
func TestOtherDiskThanConfirmed(t *testing.T) {
	t.Parallel()
	for name, digest := range map[string]string{"another": "0123", "the same": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.srv.job.Next = 2
			if digest == "" {
				res := api.DiskResult{Disk: fileDisk(t, r.disk), Matched: 1}
				digest = res.Digest()
			}
			r.srv.job.Shown = digest
			r.start(t)
			if name == "the same" {
				r.rebooted(t)
				return
			}
			r.srv.await(t, "the failure", func() bool {
				last := len(r.srv.reports) - 1
				return last >= 0 && r.srv.reports[last].State == api.StepFailed && strings.Contains(r.srv.reports[last].Reason, "not those that were confirmed")
			})
		})
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	sys := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(sys, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sys, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("block/sda/sda1/partition", "1\n")
	write("block/sda/sda1/holders/md127/x", "")
	write("block/md127/holders/dm-3/x", "")
	write("block/md127/md/array_state", "inactive\n")
	write("block/dm-3/dev", "253:3\n")
	var removed [][2]uint32
	r := releaser{sys: sys, dev: "/dev", remove: func(control string, major, minor uint32) error {
		if control != "/dev/mapper/control" {
			t.Errorf("asked %s", control)
		}
		removed = append(removed, [2]uint32{major, minor})
		return nil
	}}
	if err := r.release(t.Context(), api.Disk{Name: "sda"}); err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile(filepath.Join(sys, "block/md127/md/array_state"))
	if err != nil || !strings.HasPrefix(string(state), "clear") {
		t.Errorf("array state %q, %v", state, err)
	}
	if diff := cmp.Diff([][2]uint32{{253, 3}}, removed); diff != "" {
		t.Error(diff)
	}
	r.remove = func(string, uint32, uint32) error { return unix.EBUSY }
	if err := r.release(t.Context(), api.Disk{Name: "sda"}); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "dm-3") {
		t.Errorf("busy: %v", err)
	}
	b := dmRequest(253, 3)
	if len(b) != 0x138 || b[0] != 4 || b[40] != 3 || b[41] != 253 || dmDevRemove != 0xc138fd04 {
		t.Errorf("request %x of %x", b[:48], dmDevRemove)
	}
}
