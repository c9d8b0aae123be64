package testos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Options of Build.
type Options struct {
	// CacheDir holds finished images by recipe; "" is racker/testos in the user's cache directory.
	CacheDir string
	// Out is where the image is wanted as well; "" leaves it in the cache alone. It is written sparsely and replaced in one step.
	Out string
	// Log takes the build's progress; nil drops it.
	Log io.Writer
	// Mirror is the Debian mirror; "" is http://deb.debian.org/debian.
	Mirror string
}

// ErrNotRoot says that the image is not in the cache and that only root can build it.
var ErrNotRoot = errors.New("building the test OS needs root")

// Build returns the path of the test OS's raw disk image, Options.Out or a file of the cache that nobody may write to. The first
// call for a recipe takes about 80 s and 900 MB below CacheDir, later ones milliseconds. Builds in several processes wait for each
// other. After ctx is done the build's processes are killed and nothing is left. ErrNotRoot can be matched.
func Build(ctx context.Context, opts Options) (string, error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	cache, err := cacheDir(opts.CacheDir)
	if err != nil {
		return "", err
	}
	key, err := recipeKey()
	if err != nil {
		return "", err
	}
	image := filepath.Join(cache, "testos-"+key[:16]+".img")
	if err := ensure(ctx, cache, image, opts); err != nil {
		return "", fmt.Errorf("build the test OS: %w", err)
	}
	if opts.Out == "" {
		return image, nil
	}
	if err := copySparse(ctx, image, opts.Out); err != nil {
		return "", fmt.Errorf("copy the test OS to %s: %w", opts.Out, err)
	}
	return opts.Out, nil
}

func cacheDir(dir string) (string, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache directory: %w", err)
		}
		dir = filepath.Join(user, "racker", "testos")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	return dir, nil
}

// ensure makes the image unless it is there, one process at a time.
func ensure(ctx context.Context, cache, image string, opts Options) error {
	if _, err := os.Stat(image); err == nil {
		return nil
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(image); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	return build(ctx, cache, image, opts)
}

// lock takes the file lock at path. The kernel drops it with the process, so that a killed build blocks nobody.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("wait for another build: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func build(ctx context.Context, cache, image string, opts Options) (err error) {
	work, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(work))
	}()
	scripts, tree, made := filepath.Join(work, "recipe"), filepath.Join(work, "tree"), filepath.Join(work, "image")
	if err := unpackRecipe(scripts); err != nil {
		return err
	}
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(scripts, "build.sh"), scripts, tree, made, opts.Mirror)
	cmd.Stdout, cmd.Stderr = opts.Log, opts.Log
	// The whole group ends with the context, not the shell alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("run the recipe: %w", err)
	}
	if err := os.Chmod(made, 0o444); err != nil {
		return err
	}
	return os.Rename(made, image)
}
