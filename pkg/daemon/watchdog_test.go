package daemon

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What systemd hears in a life: ready, signs of life to the end, stopping at once.
func TestSystemdHearsOfLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "2000")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	drained := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, slog.New(slog.DiscardHandler), []Component{{Name: "a", Run: func(ctx context.Context) error {
			<-ctx.Done()
			<-drained
			return nil
		}}})
	}()
	var heard []string
	b := make([]byte, 100)
	for len(heard) < 10 {
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(heard, err)
		}
		if heard = append(heard, string(b[:n])); len(heard) == 4 {
			stop()
		}
	}
	close(drained)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	want := []string{"READY=1", "WATCHDOG=1", "STOPPING=1", "WATCHDOG=1"} // while it drains as well
	if got := slices.Compact(heard); !slices.Equal(got, want) {
		t.Errorf("heard %q", heard)
	}
}
