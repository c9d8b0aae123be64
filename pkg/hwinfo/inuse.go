package hwinfo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// inUse says what the disk or a partition of it is used for; "" when it is free. What an idle software RAID or device
// mapper holds is free, too: it is nothing but a leftover.
func (b block) inUse(u uses) string {
	for _, name := range append([]string{b.name}, b.parts...) {
		dir := b.dir
		if name != b.name {
			dir = filepath.Join(b.dir, name)
		}
		if what := u.of(dir, name); what != "" {
			return "in use: " + name + " is " + what
		}
		for _, h := range b.holders(dir) {
			if what := b.busy(u, h, maxStack); what != "" {
				return "in use: " + name + " is part of " + h + ", which is " + what
			}
		}
	}
	return ""
}

// of says what a device is mounted as, or swapped to; "" for nothing.
func (u uses) of(dir, name string) string {
	for _, key := range []string{attr(dir, "dev"), "/dev/" + strings.ReplaceAll(name, "!", "/")} {
		if what, ok := u[key]; ok && key != "" {
			return what
		}
	}
	return ""
}

// maxStack bounds how many layers of devices are looked through: nobody stacks that many.
const maxStack = 8

// holders are the devices that were made of the one at dir.
func (b block) holders(dir string) []string {
	entries, err := os.ReadDir(filepath.Join(dir, "holders"))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// busy says what a holder is used for; "" when it is idle, and of a kind that can be taken apart.
func (b block) busy(u uses, name string, depth int) string {
	if !removable(name) || depth == 0 {
		return "at work"
	}
	dir := b.sys("block", name)
	names := map[string]string{name: dir}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		for _, p := range partitionNames(resolved) {
			names[p] = filepath.Join(dir, p)
		}
	}
	for n, at := range names {
		if what := u.of(at, n); what != "" {
			return what
		}
		for _, h := range b.holders(at) {
			if what := b.busy(u, h, depth-1); what != "" {
				return "part of " + h + ", which is " + what
			}
		}
	}
	return ""
}

// removable reports whether a device is one that racker can take apart: a software RAID, or one of device mapper.
func removable(name string) bool { return isNumbered(name, "md") || isNumbered(name, "dm-") }

func isNumbered(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && rest != "" && isDigit(rest[0])
}

// Leftovers names the idle devices that are made of the disk or of its partitions, those that lie on others first: in
// this order they can be taken apart.
func (r Reader) Leftovers(disk string) []string {
	dir, err := filepath.EvalSymlinks(r.sys("block", strings.ReplaceAll(disk, "/", "!")))
	if err != nil {
		return nil
	}
	b := block{Reader: r, name: disk, dir: dir, parts: partitionNames(dir)}
	var out []string
	var add func(dir string, depth int)
	add = func(dir string, depth int) {
		for _, h := range b.holders(dir) {
			if depth > 0 && removable(h) {
				add(b.sys("block", h), depth-1)
			}
			if removable(h) && !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	add(dir, maxStack)
	for _, p := range b.parts {
		add(filepath.Join(dir, p), maxStack)
	}
	return out
}
