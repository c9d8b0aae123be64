package hwinfo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// uses maps a device, as MAJOR:MINOR and as path, to what it is used for.
type uses map[string]string

// uses reads what is mounted, and what is swapped to. Mounts of btrfs show a device number of their own, so that the
// source counts too.
func (r Reader) uses() (uses, error) {
	u := uses{}
	mounts, err := os.ReadFile(r.proc("self", "mountinfo"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line) // proc(5): ID, parent, major:minor, root, mount point, ... " - " type, source, options
		if len(f) < 5 {
			continue
		}
		u[f[2]] = "mounted at " + f[4]
		if _, after, ok := strings.Cut(line, " - "); ok {
			if g := strings.Fields(after); len(g) >= 2 && strings.HasPrefix(g[1], "/dev/") {
				u[g[1]] = "mounted at " + f[4]
			}
		}
	}
	swaps, err := os.ReadFile(r.proc("swaps"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(swaps)) {
		if f := strings.Fields(line); len(f) > 0 && strings.HasPrefix(f[0], "/dev/") {
			u[f[0]] = "in use for swap"
		}
	}
	return u, nil
}

// inUse says what the disk or a partition of it is used for; "" when it is free.
func (b block) inUse(u uses) string {
	dirs := map[string]string{b.name: b.dir}
	for _, p := range b.parts {
		dirs[p] = filepath.Join(b.dir, p)
	}
	for _, name := range append([]string{b.name}, b.parts...) {
		dir := dirs[name]
		holders, err := os.ReadDir(filepath.Join(dir, "holders"))
		if err == nil && len(holders) > 0 {
			return fmt.Sprintf("in use: %s is part of %s", name, holders[0].Name())
		}
		for _, key := range []string{attr(dir, "dev"), "/dev/" + strings.ReplaceAll(name, "!", "/")} {
			if what, ok := u[key]; ok && key != "" {
				return fmt.Sprintf("in use: %s is %s", name, what)
			}
		}
	}
	return ""
}
