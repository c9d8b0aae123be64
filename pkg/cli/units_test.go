package cli

import (
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/stdio"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	now := testTime()
	tests := map[time.Duration]string{
		0: "now", 500 * time.Millisecond: "now", -time.Minute: "now", 59 * time.Second: "59 s ago", time.Minute: "1 min ago",
		59*time.Minute + 59*time.Second: "59 min ago", 47 * time.Hour: "47 h ago", 72 * time.Hour: "3 days ago",
	}
	io, _, _, _ := stdio.Test()
	for d, want := range tests {
		io.OutTTY = true
		if got := moment(io, now, now.Add(-d)); got != want {
			t.Errorf("%v ago on a terminal: %q, want %q", d, got, want)
		}
		io.OutTTY = false
		if got := moment(io, now, now.Add(-d)); got != now.Add(-d).Format(time.RFC3339) {
			t.Errorf("%v ago in a pipe: %q", d, got)
		}
	}
	if got := moment(io, now, time.Time{}); got != "-" {
		t.Errorf("no time: %q", got)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	io, _, _, _ := stdio.Test()
	io.OutTTY = true
	for end, want := range map[time.Time]string{
		{}: "-", testTime(): "over", testTime().Add(90 * time.Second): "in 1m30s",
	} {
		if got := expiry(io, testTime(), end); got != want {
			t.Errorf("%v: %q, want %q", end, got, want)
		}
	}
}

func TestBytesText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 8 << 30: "8.0 GiB", 5000 << 40: "5000.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestImageName(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/a/flatcar_production_image.bin.bz2": "flatcar_production_image", "disk.img": "disk", "disk.raw.zst": "disk", "os": "os", ".img": "image",
	} {
		if got := imageName(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestLiveLine(t *testing.T) {
	t.Parallel()
	io, _, _, errOut := stdio.Test()
	io.ErrTTY = true
	l := liveLine{io: io}
	l.show("a", "1")
	l.show("a", "1")
	l.show("a", "2")
	l.end("a done")
	l.end("b done")
	l.show("c", "")
	l.clear()
	l.clear()
	const erase = "\r\x1b[K"
	if want := erase + "a  1" + erase + "a  2" + erase + "a done\nb done\n" + erase + "c" + erase; errOut.String() != want {
		t.Errorf("terminal: %q, want %q", errOut, want)
	}
	io, _, _, errOut = stdio.Test()
	l = liveLine{io: io}
	l.show("a", "1")
	l.show("a", "2")
	l.show("b", "")
	l.end("b")
	l.end("c")
	if want := "a\nb\nc\n"; errOut.String() != want {
		t.Errorf("pipe: %q, want %q", errOut, want)
	}
	if got := clip("añbcdef", 4); got != "añb…" {
		t.Errorf("clipped: %q", got)
	}
}
