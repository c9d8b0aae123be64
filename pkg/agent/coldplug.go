package agent

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// maxRounds bounds how often a new driver may bring up devices that need another driver.
const maxRounds = 10

// coldplug loads a driver for every device that sysfs knows, until no new ones load. A driver that does not load is
// logged: the machine may well work without it.
func coldplug(mods *modules, sys string, log *slog.Logger) {
	for range maxRounds {
		fresh := false
		for _, m := range modaliases(filepath.Join(sys, "devices")) {
			f, err := mods.load(m)
			if err != nil {
				log.Warn("driver", "err", err)
			}
			fresh = fresh || f
		}
		if !fresh {
			return
		}
	}
}

// modaliases gives what devices say of themselves, each once. Devices may vanish while they are looked at.
func modaliases(dir string) []string {
	var out []string
	seen := map[string]bool{}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if d != nil && d.IsDir() && !errors.Is(err, fs.ErrNotExist) {
				return fs.SkipDir
			}
			return nil
		}
		if d.Name() != "modalias" || d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(p)
		s := strings.TrimSpace(string(b))
		if err == nil && s != "" && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
		return nil
	})
	return out
}
