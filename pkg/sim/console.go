package sim

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// CopyConsole writes a server's serial console since the supervisor's start to w; with follow it goes on until ctx is
// done, which is no error then.
func (f Folder) CopyConsole(ctx context.Context, w io.Writer, node string, follow bool) error {
	log, err := os.Open(f.Console(node))
	if err != nil {
		return fmt.Errorf("open console log: %w", err)
	}
	defer log.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if _, err := io.Copy(w, log); err != nil {
			return fmt.Errorf("copy console log of %s: %w", node, err)
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
