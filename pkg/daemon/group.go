package daemon

import (
	"context"
	"fmt"
	"log/slog"
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
	g.Go(func() error { return watchdog(gctx, log) })
	err := g.Wait()
	notify(log, daemon.SdNotifyStopping)
	return err
}

// watchdog tells systemd that the daemon is alive, twice in each of the intervals that systemd asks for, until ctx is
// done. Where systemd asks for none, it does nothing.
func watchdog(ctx context.Context, log *slog.Logger) error {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WarnContext(ctx, "systemd's watchdog", "err", err)
	}
	if every <= 0 {
		return nil
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		notify(log, daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// notify tells systemd, where there is one.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("tell systemd", "state", state, "err", err)
	}
}
