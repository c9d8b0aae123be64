package serve

import (
	"path/filepath"

	"github.com/racker-project/racker/pkg/config"
)

// StatePath is the daemon's state file.
func StatePath(s config.Settings) string { return filepath.Join(s.StateDir, "racker.db") }

// AuditPath is the record of all orders.
func AuditPath(s config.Settings) string { return filepath.Join(s.StateDir, "audit.log") }
