package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// pace says how long to wait between tries: from First, doubled each time up to Most, each shortened by up to a quarter
// so that a rack does not ask in step.
type pace struct {
	First, Most time.Duration
}

// wait sleeps before try n, counted from 0, and gives ctx's error when it ends first.
func (p pace) wait(ctx context.Context, n int) error {
	d := p.Most
	if n < 16 {
		d = min(p.Most, p.First<<n)
	}
	if d > 4 {
		d -= rand.N(d / 4)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
