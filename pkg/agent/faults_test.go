package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// TestStaysReachable makes a step panic, and then orders a reboot.
func TestStaysReachable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.machine.Mount = func(string, string) (string, func() error, error) { panic("the mount exploded") }
	r.start(t)
	r.srv.await(t, "the failure", func() bool { return r.srv.job == nil })
	last := r.srv.reports[len(r.srv.reports)-1]
	if last.step != 3 || !strings.Contains(last.Reason, "internal error") || !strings.Contains(last.LogTail, "the mount exploded") {
		t.Errorf("report = %+v", last)
	}
	r.srv.change(func() {
		r.srv.job = &api.Job{ID: "job-2", Kind: api.JobReboot, Steps: []api.StepKind{api.StepReboot}}
	})
	r.rebooted(t)
}

// TestWrongData has image data that does not fit its digests: the node fails, and its disk does not boot.
func TestWrongData(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	data := filepath.Join(r.img.library, r.img.manifest.ID, "data.zst")
	b, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x55
	if err := os.WriteFile(data, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	r.srv.await(t, "the failure, and a check-in after it", func() bool { return r.srv.job == nil && len(r.srv.checkIns) > 1 })
	last := r.srv.reports[len(r.srv.reports)-1]
	if last.step != 2 || last.State != api.StepFailed || !strings.Contains(last.Reason, "chunk") {
		t.Errorf("report = %+v", last)
	}
	if head := firstBytes(t, r.disk, mib); slices.ContainsFunc(head, func(b byte) bool { return b != 0 }) {
		t.Error("a disk with wrong data has something in its first MiB")
	}
}

// TestStop has the server stop a job in mid-write.
func TestStop(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := newGate(os.DirFS(r.img.library))
	r.net.stop(t)
	r.net.cfg.Assets["images"] = gate
	r.net.start(t)
	r.srv.reply = func(rep reported) *api.StepReply {
		if rep.Progress == nil {
			return nil
		}
		r.srv.job = nil
		return &api.StepReply{Stop: true, Reason: "cancelled by the operator"}
	}
	r.start(t)
	r.srv.await(t, "a check-in after the stop", func() bool { return r.srv.job == nil && len(r.srv.checkIns) > 1 })
	gate.open()
	for _, rep := range r.srv.reports {
		if rep.State == api.StepFailed || rep.step > 2 {
			t.Errorf("report after a stop: %+v", rep)
		}
	}
	if head := firstBytes(t, r.disk, mib); slices.ContainsFunc(head, func(b byte) bool { return b != 0 }) {
		t.Error("a half-written disk has something in its first MiB")
	}
}

// TestCancel ends the agent in mid-write: all goroutines end, and nobody reboots.
func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := newGate(os.DirFS(r.img.library))
	defer gate.open()
	r.net.stop(t)
	r.net.cfg.Assets["images"] = gate
	r.net.start(t)
	stop := r.start(t)
	r.srv.await(t, "progress of the write", func() bool {
		return len(r.srv.reports) > 0 && r.srv.reports[len(r.srv.reports)-1].Progress != nil
	})
	began := time.Now()
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %v to end", d)
	}
	if len(r.reboots) > 0 {
		t.Error("the machine rebooted")
	}
}

// TestServerRestart stops the server in mid-write and starts it again.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := newGate(os.DirFS(r.img.library))
	r.net.stop(t)
	r.net.cfg.Assets["images"] = gate
	r.net.start(t)
	r.start(t)
	r.srv.await(t, "progress of the write", func() bool {
		return len(r.srv.reports) > 0 && r.srv.reports[len(r.srv.reports)-1].Progress != nil
	})
	gate.open()
	r.net.stop(t)
	r.net.start(t)
	r.rebooted(t)
	r.installed(t)
}

// firstBytes reads the beginning of a file.
func firstBytes(t *testing.T, file string, n int) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// gate is a folder whose image data stops after a while, until it is opened.
type gate struct {
	fs.FS
	opened chan struct{}
}

func newGate(f fs.FS) *gate { return &gate{FS: f, opened: make(chan struct{})} }

func (g *gate) open() { close(g.opened) }

// Open implements fs.FS.
func (g *gate) Open(name string) (fs.File, error) {
	f, err := g.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, "data.zst") {
		return f, err
	}
	return &gatedFile{File: f, gate: g}, nil
}

// gatedFile gives the first half MiB freely.
type gatedFile struct {
	fs.File
	gate *gate
	read int64
}

// Read implements io.Reader.
func (f *gatedFile) Read(p []byte) (int, error) {
	if f.read > mib/2 {
		<-f.gate.opened
	}
	n, err := f.File.Read(p[:min(len(p), 64<<10)])
	f.read += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (f *gatedFile) Seek(offset int64, whence int) (int64, error) {
	return f.File.(*os.File).Seek(offset, whence)
}
