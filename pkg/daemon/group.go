package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"
)

// Component is one server or worker of the daemon.
type Component struct {
	Name string
	// Listen binds what Run serves; nil when there is nothing to bind.
	Listen func(ctx context.Context) error
	// Run blocks until ctx is done, and returns after its goroutines have ended.
	Run func(ctx context.Context) error
}

// Run binds every component's sockets, in order, then runs all of them, and says that it is ready only in between. The first
// component to return, with an error or not, stops the others. The error names the component.
func Run(ctx context.Context, log *slog.Logger, parts []Component) error {
	for _, c := range parts {
		if c.Listen == nil {
			continue
		}
		if err := c.Listen(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(ctx)
	for _, c := range parts {
		g.Go(func() error {
			defer stop()
			if err := c.Run(gctx); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			return nil
		})
	}
	log.InfoContext(ctx, "ready")
	notify(log, daemon.SdNotifyReady)
	over := make(chan struct{})
	var signs sync.WaitGroup
	signs.Go(func() { tell(log, gctx.Done(), over) })
	err := g.Wait()
	close(over)
	signs.Wait()
	return err
}

// tell gives systemd a sign of life, twice in each of the intervals that it asks for, until the daemon is over, and says
// when it begins to stop.
func tell(log *slog.Logger, stopping, over <-chan struct{}) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog", "err", err)
	}
	var tick <-chan time.Time
	if every > 0 {
		t := time.NewTicker(every / 2)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-tick:
			notify(log, daemon.SdNotifyWatchdog)
		case <-stopping:
			notify(log, daemon.SdNotifyStopping)
			stopping = nil
		case <-over:
			if stopping != nil { // both came at once
				notify(log, daemon.SdNotifyStopping)
			}
			return
		}
	}
}

// notify tells systemd, where there is one.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("tell systemd", "state", state, "err", err)
	}
}
