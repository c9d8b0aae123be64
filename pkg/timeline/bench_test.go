package timeline

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/event"
)

// BenchmarkThousandNodes is a run of a thousand nodes with a hundred events each, all of them followed and written. One
// operation is one event.
func BenchmarkThousandNodes(b *testing.B) {
	tl := Open(Config{Dir: b.TempDir()}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tl.Run(ctx) }()
	ch := tl.Subscribe(ctx, tl.Last())
	go func() {
		for range ch {
		}
	}()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tl.Publish(event.Event{
			Kind: event.DHCPSeen, Node: fmt.Sprintf("52:54:00:00:%02x:%02x", i%1000>>8, i&0xff), Run: "run-abcdefgh",
			Message: "DHCP REQUEST of PXE firmware, answered ACK 172.24.213.9, boot file ipxe.efi",
			Fields:  map[string]string{"mac": "52:54:00:00:00:02", "xid": "1a2b3c4d", "type": "REQUEST", "reply": "ACK", "ip": "172.24.213.9", "file": "ipxe.efi"},
		})
		i++
		if i%4096 == 0 { // not faster than the disk takes it
			for tl.waits() > maxPending/2 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	cancel()
	<-done
}

// BenchmarkNode reads the timeline of a node with five hundred events.
func BenchmarkNode(b *testing.B) {
	tl := Open(Config{Dir: b.TempDir()}, slog.New(slog.DiscardHandler))
	for i := range 500 {
		tl.Publish(event.Event{Kind: event.FileServed, Node: macA, Message: fmt.Sprint("HTTP: microkernels/1/vmlinuz, 9000000 bytes ", i),
			Fields: map[string]string{"file": "microkernels/1/vmlinuz", "bytes": "9000000", "size": "9000000", "done": "true"}})
	}
	tl.flush()
	b.ReportAllocs()
	for b.Loop() {
		if len(tl.Node(macA, 48)) != 48 {
			b.Fatal("events are missing")
		}
	}
}
