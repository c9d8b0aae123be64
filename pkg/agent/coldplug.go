package agent

import (
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
		for _, m := range modaliases(sys) {
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

// modaliases gives what the devices of all buses say of themselves, each once. Walking /sys/devices would find the same
// ones a hundred times slower. Devices may vanish while they are looked at.
func modaliases(sys string) []string {
	found, err := filepath.Glob(filepath.Join(sys, "bus/*/devices/*/modalias"))
	if err != nil {
		return nil // the pattern is well-formed
	}
	var out []string
	seen := map[string]bool{}
	for _, f := range found {
		b, err := os.ReadFile(f)
		s := strings.TrimSpace(string(b))
		if err == nil && s != "" && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
