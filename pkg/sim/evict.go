package sim

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// evictGrace is how long a program on the management node may take to end by itself.
	evictGrace = 5 * time.Second
	evictPoll  = 20 * time.Millisecond
)

// evict ends the processes that were started on the management node whose namespace is ns and that still run: they would
// keep the namespace, and racker itself, alive. Each gets SIGTERM, and SIGKILL when that did not help.
func (f Folder) evict(ctx context.Context, ns uint64) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		deadline := time.Now().Add(evictGrace)
		told := map[int]bool{}
		for time.Now().Before(deadline) {
			pids := f.inhabitants(ns)
			if len(pids) == 0 {
				return
			}
			for _, pid := range pids {
				if !told[pid] {
					told[pid] = true
					_ = unix.Kill(pid, sig) // it may have ended meanwhile
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(evictPoll):
			}
		}
	}
}
