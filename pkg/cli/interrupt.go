package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupts ends a context at SIGINT or SIGTERM, unless somebody has taken Ctrl-C for a question of its own.
type interrupts struct {
	mu    sync.Mutex
	taker chan<- struct{}
}

// watch gives a context that ends with parent, at SIGTERM, or at a SIGINT that nobody has taken. From then on the next
// signal kills. The caller calls stop in the end.
func (i *interrupts) watch(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if s == os.Interrupt && i.deliver() {
					continue
				}
				cancel(fmt.Errorf("%s signal received", s))
				return
			}
		}
	})
	return ctx, func() {
		cancel(context.Canceled)
		wg.Wait()
	}
}

// deliver hands one Ctrl-C to who has taken it; it reports whether anybody has.
func (i *interrupts) deliver() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.taker == nil {
		return false
	}
	select {
	case i.taker <- struct{}{}:
	default: // one waits already
	}
	return true
}

// take gives a channel on which each Ctrl-C comes until release is called.
func (i *interrupts) take() (pressed <-chan struct{}, release func()) {
	c := make(chan struct{}, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.taker = c
	return c, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.taker = nil
	}
}
