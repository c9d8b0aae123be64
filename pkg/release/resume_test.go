package release

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/racker-project/racker/pkg/api"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// A connection that breaks is taken up where it broke.
func TestResume(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Start()
		b.relay("10.9.0.1:8000", 1<<20)
		b.cfg.Source.Mirror = "http://10.9.0.1:8000/{channel}"
		b.start()
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		b.keeps(b.image)
		if whole, ranges := b.asked("bz2 200"), b.asked("bz2 206"); whole != 1 || ranges < 2 {
			t.Errorf("%d whole and %d ranges:\n%s", whole, ranges, strings.Join(b.site.Log(), "\n"))
		}
	})
}

// A server that ignores ranges begins anew each time, and works.
func TestServerIgnoresRanges(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Settings = "max_ranges 0;"
		b.site.Start()
		b.cfg.Web.Retries = -1
		b.relay("10.9.0.1:8000", 2<<20)
		b.cfg.Source.Mirror = "http://10.9.0.1:8000/{channel}"
		b.start()
		if v := b.pull(flatcar()); v.State != api.PullFailed || !strings.Contains(v.Error.Message, "unexpected EOF") {
			t.Fatalf("%+v, %+v", v, v.Error)
		}
		if info, err := os.Stat(b.part()); err != nil || info.Size() < 1<<20 {
			t.Errorf("kept for the next time: %v, %v", info, err)
		}
		b.stop()
		// The next order goes on with the same address, which now has a better line.
		b.site.Stop()
		b.cfg.Source.Mirror = b.site.URL("{channel}")
		b.site.Start()
		b.start()
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		b.keeps(b.image)
		if n := b.asked("bz2 206"); n != 0 {
			t.Errorf("%d ranges", n)
		}
	})
}

// throttled makes a bench whose server gives images slowly, and stops it in the middle of one.
func throttled(b *bench) api.PullView {
	b.t.Helper()
	b.site.Settings = "location ~ bz2$ { limit_rate_after 512k; limit_rate 64k; }"
	b.site.Start()
	b.start()
	v, err := b.pulls.Order(b.t.Context(), flatcar())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.until(v.ID, func(v api.PullView) bool { return v.Stage == api.PullFetches && v.Done >= 512<<10 })
}

// A server that is restarted in the middle, and has the same file, goes on with it; one that is gone leaves the part.
func TestServerKilled(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		v := throttled(b)
		b.site.Stop()
		v = b.until(v.ID, over)
		if v.State != api.PullFailed || !strings.Contains(v.Error.Message, "connection refused") {
			t.Fatalf("%+v, %+v", v, v.Error)
		}
		info, err := os.Stat(b.part())
		if err != nil || info.Size() < 512<<10 || info.Size() >= int64(len(b.image)) {
			t.Fatalf("%v, %v", info, err)
		}
		b.site.Settings = ""
		b.site.Start()
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		b.keeps(b.image)
		if b.asked("bz2 206") != 1 {
			t.Errorf("not resumed:\n%s", strings.Join(b.site.Log(), "\n"))
		}
	})
}

// The end of the daemon ends no pull: the next one goes on with it, by the same ID, from where it was.
func TestDaemonRestarted(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		v := throttled(b)
		b.stop()
		b.site.Stop()
		b.site.Settings = ""
		b.site.Start()
		b.start()
		if v = b.until(v.ID, over); v.State != api.PullDone {
			t.Fatalf("%+v, %+v", v, v.Error)
		}
		b.keeps(b.image)
		if b.asked("bz2 206") != 1 || len(b.left()) > 0 {
			t.Errorf("left %q:\n%s", b.left(), strings.Join(b.site.Log(), "\n"))
		}
	})
}

// Another file at the same address is not glued to the beginning of the old one.
func TestFileChanged(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		v := throttled(b)
		b.site.Stop()
		b.until(v.ID, over)
		other := append([]byte("other"), b.image...)
		b.site.Release(b.key, 1, date(2024, 7, 1), "stable", "4593.2.5", "amd64", other)
		b.site.Settings = ""
		b.site.Start()
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		b.keeps(other)
	})
}

// A part that was damaged on our own disk is fetched once more as a whole.
func TestDamagedPart(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		v := throttled(b)
		b.site.Stop()
		b.until(v.ID, over)
		f, err := os.OpenFile(b.part(), os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt([]byte("damage"), 1000)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		b.site.Settings = ""
		b.site.Start()
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		b.keeps(b.image)
	})
}

// A server that stops sending is given up after the stall, and asked again.
func TestStall(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.cfg.Web.Stall, b.cfg.Web.Retries = 200*time.Millisecond, 1
		b.site.Settings = "location ~ bz2$ { limit_rate_after 512k; limit_rate 1; }"
		b.site.Start()
		b.start()
		v, err := b.pulls.Order(t.Context(), flatcar())
		if err != nil {
			t.Fatal(err)
		}
		b.until(v.ID, func(v api.PullView) bool { return strings.Contains(v.Trouble, "no data arrives") })
		if _, err := b.pulls.Cancel(t.Context(), v.ID); err != nil {
			t.Fatal(err)
		}
		b.until(v.ID, over)
	})
}

// smallDisk names the mount of TestDiskFull to the process that runs in the namespaces.
const smallDisk = "RACKER_TEST_SMALL_DISK"

// A disk that is full in the middle of a pull is left as it was before.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a file system")
	}
	if os.Getenv(smallDisk) == "" {
		dir := t.TempDir()
		if err := unix.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		t.Setenv(smallDisk, dir)
	}
	alone(t, func(t *testing.T, b *bench) {
		b.cfg.Dir = os.Getenv(smallDisk) + "/downloads"
		b.site.Start()
		b.start()
		v := b.pull(flatcar())
		if v.State != api.PullFailed || !strings.Contains(v.Error.Message, "no space left") {
			t.Errorf("%+v, %+v", v, v.Error)
		}
		if left := b.left(); len(left) > 0 || len(b.shelf.kept) > 0 {
			t.Errorf("left behind: %q, kept %+v", left, b.shelf.kept)
		}
		_, err := b.pulls.Receive(t.Context(), Upload{Signature: b.key.Sign(1, date(2024, 6, 1), b.image), Key: b.key.Public()},
			bytes.NewReader(b.image), func(string, int64) {})
		if left := b.left(); !errors.Is(err, ErrSpace) || len(left) > 0 {
			t.Errorf("an upload: %v; left %q", err, left)
		}
	})
}

func TestNoRoom(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.cfg.Room = func(string) (int64, error) { return reserve + 2*int64(len(b.image)) - 1, nil }
		b.site.Start()
		b.start()
		if v := b.pull(flatcar()); v.State != api.PullFailed || !strings.Contains(v.Error.Message, "no space left on the disk") {
			t.Errorf("%+v, %+v", v, v.Error)
		}
		if left := b.left(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}
