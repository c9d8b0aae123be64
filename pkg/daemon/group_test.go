package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestFirstToFailStopsTheOthers(t *testing.T) {
	broken := errors.New("broken")
	ended, listened := false, 0
	listen := func(context.Context) error { listened++; return nil }
	err := Run(t.Context(), slog.New(slog.DiscardHandler), []Component{
		{Name: "waits", Listen: listen, Run: func(ctx context.Context) error {
			<-ctx.Done()
			ended = true
			return nil
		}},
		{Name: "fails", Run: func(context.Context) error {
			if listened != 2 {
				t.Errorf("it runs when %d of 2 are bound", listened)
			}
			return broken
		}},
		{Name: "idle", Listen: listen, Run: func(ctx context.Context) error { <-ctx.Done(); return nil }},
	})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "fails: ") || !ended {
		t.Errorf("%v, the other ended: %t", err, ended)
	}
}

func TestOneThatReturnsStopsTheOthers(t *testing.T) {
	err := Run(t.Context(), slog.New(slog.DiscardHandler), []Component{
		{Name: "returns", Run: func(context.Context) error { return nil }},
		{Name: "waits", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }},
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNothingRunsWhenOneCannotListen(t *testing.T) {
	taken := errors.New("taken")
	run := func(context.Context) error { t.Error("it runs"); return nil }
	err := Run(t.Context(), slog.New(slog.DiscardHandler), []Component{
		{Name: "a", Run: run},
		{Name: "b", Listen: func(context.Context) error { return taken }, Run: run},
	})
	if !errors.Is(err, taken) || !strings.HasPrefix(err.Error(), "b: ") {
		t.Error(err)
	}
}
