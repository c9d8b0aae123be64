package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
	"github.com/racker-project/racker/pkg/image"
)

// installed checks what a finished install leaves.
func (r *rig) installed(t *testing.T) {
	t.Helper()
	r.img.sameAs(t, r.disk, false)
	name := filepath.Join(r.oem, configName)
	config, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(config) != string(r.srv.blobs[api.BlobIgnition]) {
		t.Errorf("config.ign = %q", config)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("config.ign: mode %v, %v", st.Mode(), err)
	}
	if want := []string{image.PartitionPath(r.disk, 2)}; !cmp.Equal(r.opened, want) {
		t.Errorf("mounted %v, want %v", r.opened, want)
	}
}

// result decodes what a step reported as done.
func (r *rig) result(t *testing.T, step int, into any) {
	t.Helper()
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	for _, rep := range r.srv.reports {
		if rep.step == step && rep.State == api.StepDone {
			if err := json.Unmarshal(rep.Result, into); err != nil {
				t.Fatalf("result of step %d: %v", step, err)
			}
			return
		}
	}
	t.Fatalf("step %d was not reported as done", step)
}

func TestInstall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.start(t)
	r.rebooted(t)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	r.installed(t)

	var disk api.DiskResult
	r.result(t, 1, &disk)
	if disk.Disk.Serial != "DISK1" {
		t.Errorf("disk = %+v", disk)
	}
	var written api.WriteResult
	r.result(t, 2, &written)
	f, err := os.Open(r.img.raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	esp, _, err := image.ESP(f, r.img.manifest.RawSize)
	if err != nil {
		t.Fatal(err)
	}
	if want := (api.WriteResult{Bytes: r.img.manifest.RawSize, ESP: esp}); written != want || esp == "" {
		t.Errorf("written = %+v, want %+v", written, want)
	}
	var fw firmwareResult
	r.result(t, 4, &fw)
	if want := (firmwareResult{Set: true, Entry: "Boot0000", BMC: "disk"}); fw != want {
		t.Errorf("firmware = %+v, want %+v", fw, want)
	}

	in := r.srv.checkIns[0]
	if in.Token != testToken || in.Identity.Serial != "ABC" || in.Version == "" {
		t.Errorf("check-in = %+v", in)
	}
	if in.Clock.Year() != 2010 {
		t.Errorf("clock at check-in = %v, want that of 2010", in.Clock)
	}
	if d := time.Since(r.clock); d < 0 || d > time.Minute {
		t.Errorf("clock set to %v", r.clock)
	}
	if len(r.srv.keys) != 1 {
		t.Errorf("%d session keys, want 1", len(r.srv.keys))
	}
	if !strings.Contains(r.srv.log.String(), "step done") {
		t.Errorf("the server's log of the node:\n%s", r.srv.log.String())
	}
}

// TestOrder checks that the write is announced, and acknowledged, before it begins, and that steps come in order.
func TestOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before, err := os.ReadFile(r.disk)
	if err != nil {
		t.Fatal(err)
	}
	announced := false
	r.srv.reply = func(rep reported) *api.StepReply {
		if rep.step == 2 && rep.State == api.StepRunning && !announced {
			announced = true
			if now, err := os.ReadFile(r.disk); err != nil || sha256.Sum256(now) != sha256.Sum256(before) {
				t.Errorf("the disk changed before the write was announced (%v)", err)
			}
		}
		return nil
	}
	r.start(t)
	r.rebooted(t)
	var done []int
	for _, rep := range r.srv.reports {
		if rep.State == api.StepDone {
			done = append(done, rep.step)
		}
		if p := rep.Progress; p != nil && (p.Total != r.img.manifest.RawSize || p.Done < 0 || p.Done > p.Total) {
			t.Errorf("progress %+v", *p)
		}
	}
	if want := []int{0, 1, 2, 3, 4, 5}; !cmp.Equal(done, want) {
		t.Errorf("done %v, want %v", done, want)
	}
	if !announced {
		t.Error("the write was not announced")
	}
}

// TestLostReplies loses the first reply to each request that there is.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seen := map[string]bool{}
	r.srv.lose = func(what string) bool {
		first := !seen[what]
		seen[what] = true
		return first
	}
	r.start(t)
	r.rebooted(t)
	r.installed(t)
	if len(r.srv.keys) != 1 {
		t.Errorf("%d session keys, want 1", len(r.srv.keys))
	}
	for _, what := range []string{"checkin", "report 5 done", "blob ignition", "blob manifest", "report 2 running"} {
		if !seen[what] {
			t.Errorf("%s was never asked", what)
		}
	}
}

// TestRefusedOrders has jobs that must fail before the disk is touched; the agent asks for orders again each time.
func TestRefusedOrders(t *testing.T) {
	t.Parallel()
	img := makeImage(t, fsExt4)
	for _, c := range []struct {
		name string
		job  func(*api.Job)
		want []string
		step int
	}{
		{"other primary MAC", func(j *api.Job) { j.Expect.PrimaryMAC = "52:54:00:99:99:99" },
			[]string{"node-1 (U7)", "52:54:00:99:99:99", testMAC, "nothing was written"}, 0},
		{"no primary MAC", func(j *api.Job) { j.Expect.PrimaryMAC = "" }, []string{"names no primary MAC"}, 0},
		{"other serial", func(j *api.Job) { j.Expect.Serial = "XYZ" }, []string{"XYZ", "ABC"}, 0},
		{"unknown kind", func(j *api.Job) { j.Kind = "polish" }, []string{`"polish"`}, 0},
		{"unknown step", func(j *api.Job) { j.Steps[1] = "defrag" }, []string{`"defrag"`}, 0},
		{"no image", func(j *api.Job) { j.Image = nil }, []string{"names no image"}, 0},
		{"no such disk", func(j *api.Job) { j.Disk.Name = "wwn-0x5000" }, []string{"wwn-0x5000"}, 1},
		{"disk too small", func(j *api.Job) { j.Disk.MinSize = 1 << 50 }, []string{"vda"}, 1},
		{"data outside of the assets", func(j *api.Job) { j.Image.Data = "../../secret" }, []string{"below the assets"}, 2},
		{"another manifest", func(j *api.Job) { j.Image.ID = "0123456789abcdef" }, []string{"0123456789abcdef"}, 2},
		{"resumed at the write by a machine that does not fit",
			func(j *api.Job) { j.Next, j.Expect.PrimaryMAC = 2, "52:54:00:99:99:99" }, []string{"52:54:00:99:99:99"}, 2},
		{"resumed beyond its end", func(j *api.Job) { j.Next = 9 }, []string{"at step 9"}, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := rigFor(t, img)
			before, err := os.ReadFile(r.disk)
			if err != nil {
				t.Fatal(err)
			}
			c.job(r.srv.job)
			stop := r.start(t)
			var failed api.StepReport
			r.srv.await(t, "a failure, and a check-in after it", func() bool {
				i := slices.IndexFunc(r.srv.reports, func(r reported) bool { return r.State == api.StepFailed && r.step == c.step })
				if i >= 0 {
					failed = r.srv.reports[i].StepReport
				}
				return i >= 0 && len(r.srv.checkIns) > 1
			})
			for _, w := range c.want {
				if !strings.Contains(failed.Reason, w) {
					t.Errorf("reason %q does not name %q", failed.Reason, w)
				}
			}
			if !strings.Contains(failed.LogTail, "job failed") || strings.Contains(failed.Reason, "\n") {
				t.Errorf("report %+v", failed)
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
			after, err := os.ReadFile(r.disk)
			if err != nil || sha256.Sum256(after) != sha256.Sum256(before) {
				t.Errorf("the disk was touched (%v)", err)
			}
			if len(r.reboots) > 0 {
				t.Error("the machine rebooted")
			}
		})
	}
}

// TestRefusedSession has a wrong token first: nothing is written, and the agent keeps asking until it is let in.
func TestRefusedSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.srv.token = "another"
	r.start(t)
	r.srv.await(t, "three refused check-ins", func() bool { return len(r.srv.checkIns) >= 3 })
	if len(r.srv.reports) > 0 {
		t.Errorf("reports of a refused agent: %+v", r.srv.reports)
	}
	r.srv.change(func() { r.srv.token = testToken })
	r.rebooted(t)
	r.installed(t)
}

// TestWrongPin has a server of another CA: the agent tells it nothing.
func TestWrongPin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	book := NewLogbook(nil)
	cfg := r.net.settings(t, "127.0.0.1")
	cfg.Pin = strings.Repeat("ab", 32)
	a, err := New(cfg, r.machine, book)
	if err != nil {
		t.Fatal(err)
	}
	defer a.client.close()
	if _, err := a.client.now(t.Context()); !errors.Is(err, ErrServer) {
		t.Errorf("now: %v, want ErrServer", err)
	}
	if _, err := a.client.checkIn(t.Context(), api.CheckIn{Token: testToken}); !errors.Is(err, ErrServer) {
		t.Errorf("checkIn: %v, want ErrServer", err)
	}
	if len(r.srv.checkIns) > 0 {
		t.Error("the check-in, and so the token, reached the server")
	}
}

// TestSkips has an image that takes no config, on a machine without EFI variables.
func TestSkips(t *testing.T) {
	t.Parallel()
	for name, blob := range map[string][]byte{"empty": {}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.machine.EFIVars = ""
			bmc, says := hwinfo.ErrNoBMC, ""
			if blob != nil {
				bmc, says = errors.New("busy"), "busy"
			}
			r.machine.BootFromDisk = func(context.Context, bool) error { return bmc }
			delete(r.srv.blobs, api.BlobIgnition)
			if blob != nil {
				r.srv.blobs[api.BlobIgnition] = blob
			}
			r.start(t)
			r.rebooted(t)
			var ign ignitionResult
			r.result(t, 3, &ign)
			if !ign.Skipped || len(r.opened) > 0 {
				t.Errorf("ignition = %+v, mounted %v", ign, r.opened)
			}
			var fw firmwareResult
			r.result(t, 4, &fw)
			if fw.Set || fw.Why == "" || fw.BMC != says {
				t.Errorf("firmware = %+v", fw)
			}
		})
	}
}
