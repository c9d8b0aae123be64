package testos

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestRecipeIsShell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unpackRecipe(dir); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.sh", "dracut/99testos/*.sh", "root/usr/lib/systemd/system-generators/*"} {
		scripts, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(scripts) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, script := range scripts {
			if out, err := exec.CommandContext(t.Context(), "bash", "-n", script).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
		}
	}
	if err := exec.CommandContext(t.Context(), "grub-script-check", filepath.Join(dir, "grub.cfg")).Run(); err != nil {
		t.Errorf("grub.cfg: %v", err)
	}
}

func TestRecipeKey(t *testing.T) {
	t.Parallel()
	first, err := recipeKey()
	if err != nil {
		t.Fatal(err)
	}
	second, err := recipeKey()
	if err != nil || first != second || len(first) != 64 {
		t.Errorf("keys %q and %q: %v", first, second, err)
	}
}

// TestBuildFromCache puts an image where the cache has it: nothing is built, and the copy is the image.
func TestBuildFromCache(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	key, err := recipeKey()
	if err != nil {
		t.Fatal(err)
	}
	cached := filepath.Join(cache, "testos-"+key[:16]+".img")
	content := sparseFile(t, cached)
	if err := os.Chmod(cached, 0o444); err != nil {
		t.Fatal(err)
	}
	image, err := Build(t.Context(), Options{CacheDir: cache})
	if err != nil || image != cached {
		t.Fatalf("image %s, want %s: %v", image, cached, err)
	}
	out := filepath.Join(t.TempDir(), "out.img")
	if image, err = Build(t.Context(), Options{CacheDir: cache, Out: out}); err != nil || image != out {
		t.Fatalf("image %s, want %s: %v", image, out, err)
	}
	copied, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(copied, content) {
		t.Errorf("the copy differs: %v", err)
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(out, &stat); err != nil || stat.Blocks*512 > 4<<20 || stat.Mode&0o200 == 0 {
		t.Errorf("the copy uses %d bytes and has mode %o: %v", stat.Blocks*512, stat.Mode, err)
	}
}

// sparseFile makes a file of 16 MiB with data at its start, in its middle and in its last bytes.
func sparseFile(t *testing.T, path string) []byte {
	t.Helper()
	content := make([]byte, 16<<20)
	random := rand.New(rand.NewPCG(1, 2))
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(int64(len(content)) - 5); err != nil {
		t.Fatal(err)
	}
	content = content[:len(content)-5]
	for _, start := range []int{0, 8<<20 + 4096, len(content) - 9000} {
		part := content[start : start+9000]
		for i := range part {
			part[i] = byte(random.Uint32())
		}
		if _, err := file.WriteAt(part, int64(start)); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

func TestLockWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v while the lock is held", err)
	}
	done := make(chan error, 1)
	go func() {
		release, err := lock(t.Context(), path)
		if err == nil {
			release()
		}
		done <- err
	}()
	unlock()
	if err := <-done; err != nil {
		t.Errorf("after the unlock: %v", err)
	}
}

// cacheOnDisk is a directory where debootstrap may make device nodes: in a container /tmp may be mounted without.
func cacheOnDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "racker-testos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestBuildIsKilled cancels a build in its first step: its processes end and its directory goes.
func TestBuildIsKilled(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("building needs root")
	}
	cache := cacheOnDisk(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	log := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("testos: debootstrap")) {
			cancel(stop)
		}
		return len(p), nil
	})
	if _, err := Build(ctx, Options{CacheDir: cache, Log: log}); !errors.Is(err, stop) {
		t.Fatalf("error %v, want %v", err, stop)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "lock" {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestBuildFails: the mirror is not there; the error says so and nothing is cached.
func TestBuildFails(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("building needs root")
	}
	cache := cacheOnDisk(t)
	var log bytes.Buffer
	if _, err := Build(t.Context(), Options{CacheDir: cache, Log: &log, Mirror: "http://127.0.0.1:1/debian"}); err == nil {
		t.Fatal("no error")
	}
	if !bytes.Contains(log.Bytes(), []byte("127.0.0.1:1")) {
		t.Errorf("the log does not name the mirror:\n%s", log.Bytes())
	}
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }
