package serve

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/daemon"
	"github.com/racker-project/racker/pkg/store"
)

// StatePath is the daemon's state file.
func StatePath(s config.Settings) string { return filepath.Join(s.StateDir, "racker.db") }

// AuditPath is the record of all orders.
func AuditPath(s config.Settings) string { return filepath.Join(s.StateDir, "audit.jsonl") }

// State gives the state in st, whose file is path, to those who may have it.
func State(st store.Store, path string) daemon.State { return state{store: st, path: path} }

// state gives the daemon's state away.
type state struct {
	store store.Store
	path  string
}

// Export implements daemon.State.
func (s state) Export(ctx context.Context, file string) (func(io.Writer) error, error) {
	if file != "" && !sameFile(file, s.path) {
		return nil, &api.Error{
			Message: fmt.Sprintf("this daemon's state is not %s but %s", file, s.path), Code: 2, Status: http.StatusConflict,
			Hint: "--state-dir " + filepath.Dir(s.path),
		}
	}
	snapshot, err := store.Take(ctx, s.store)
	if err != nil {
		return nil, fmt.Errorf("export the state: %w", err)
	}
	return func(w io.Writer) error { return snapshot.Export(w, time.Now()) }, nil
}

func sameFile(a, b string) bool {
	in, err := os.Stat(a)
	if err != nil {
		return false
	}
	mine, err := os.Stat(b)
	return err == nil && os.SameFile(in, mine)
}
