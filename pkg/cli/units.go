package cli

import (
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/stdio"
)

// moment shows a time: how long ago on a terminal, RFC 3339 in a pipe, "-" for none.
func moment(io *stdio.Streams, now, t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !io.OutTTY:
		return t.UTC().Format(time.RFC3339)
	}
	return ago(now.Sub(t))
}

// ago rounds to what a person wants to know.
func ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// size shows bytes on a terminal by binary units, in a pipe as they are.
func size(io *stdio.Streams, n int64) string {
	if !io.OutTTY {
		return fmt.Sprint(n)
	}
	return bytesText(n)
}

// bytesText gives "12.3 MiB".
func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for v >= step && i < len(units)-1 {
		v /= step
		i++
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// dash fills an empty cell.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
