package initrd

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
)

// records gives the files of the initramfs, parents before children. A nil chosen leaves modules out.
func records(agent []byte, release string, c *chosen, firmware map[string][]byte) []cpio.Record {
	files := map[string]cpio.Record{
		"init":           cpio.StaticFile("init", string(agent), 0o755),
		"dev/console":    cpio.CharDev("dev/console", 0o600, 5, 1),
		"dev/null":       cpio.CharDev("dev/null", 0o666, 1, 3),
		"sbin/modprobe":  cpio.Symlink("sbin/modprobe", "../init"), // the kernel's own request_module calls it
		"etc/os-release": cpio.StaticFile("etc/os-release", "ID=racker\nNAME=\"racker microkernel\"\n", 0o644),
	}
	for _, d := range []string{"proc", "sys", "run", "tmp", "mnt", "root", "lib/modules", "lib/firmware"} {
		files[d] = cpio.Directory(d, 0o755)
	}
	if c != nil {
		dir := "lib/modules/" + release
		for _, m := range c.mods {
			name := path.Join(dir, m.rel)
			files[name] = cpio.StaticFile(name, string(m.data), 0o644)
		}
		for base, text := range c.metadata() {
			name := path.Join(dir, base)
			files[name] = cpio.StaticFile(name, text, 0o644)
		}
	}
	for base, data := range firmware {
		name := path.Join("lib/firmware", base)
		files[name] = cpio.StaticFile(name, string(data), 0o644)
	}
	return sorted(files)
}

// sorted adds the parents of all files and puts everything in one fixed order, with fixed times and inodes.
func sorted(files map[string]cpio.Record) []cpio.Record {
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := files[dir]; !ok {
				files[dir] = cpio.Directory(dir, 0o755)
			}
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make([]cpio.Record, len(names))
	for i, name := range names {
		out[i] = files[name]
		out[i].Ino = uint64(i + 1)
		out[i].NLink = 1
	}
	return out
}

// pack writes the archive, compressed. Level "best" costs seconds here and saves every server's transfer; unpacking
// does not get slower.
func pack(w io.Writer, recs []cpio.Record) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(8<<20))
	if err != nil {
		return fmt.Errorf("compress initramfs: %w", err)
	}
	cw := cpio.Newc.Writer(z)
	for _, r := range recs {
		if err := cw.WriteRecord(r); err != nil {
			return fmt.Errorf("write %s to initramfs: %w", r.Name, err)
		}
	}
	if err := cpio.WriteTrailer(cw); err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress initramfs: %w", err)
	}
	return nil
}

// readFirmware gives the firmware files that the chosen modules name and dir has; an empty dir gives none.
func readFirmware(dir string, c *chosen) (map[string][]byte, error) {
	out := map[string][]byte{}
	if dir == "" {
		return out, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open firmware: %w", err)
	}
	for _, m := range c.mods {
		for _, pattern := range m.firmware {
			if !filepath.IsLocal(pattern) {
				continue
			}
			if err := addFirmware(out, dir, pattern); err != nil {
				return nil, fmt.Errorf("firmware of %s: %w", m.name, err)
			}
		}
	}
	return out, nil
}

// addFirmware reads the files that a module's pattern names, compressed or not.
func addFirmware(out map[string][]byte, dir, pattern string) error {
	for _, suffix := range []string{"", ".xz", ".zst"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern) + suffix)
		if err != nil {
			return nil // a name that is no pattern is no file either
		}
		for _, f := range found {
			rel, err := filepath.Rel(dir, f)
			if err != nil {
				return err
			}
			raw, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			data, err := unpack(rel, raw)
			if err != nil {
				return fmt.Errorf("unpack %s: %w", f, err)
			}
			out[filepath.ToSlash(trimPacked(rel))] = data
		}
	}
	return nil
}
