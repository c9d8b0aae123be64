package cli

import (
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

func TestNotAfter(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("here", 3600)
	now := time.Date(2026, 12, 31, 22, 30, 15, 7, zone)
	at := func(day, hour, minute, second int) time.Time {
		return time.Date(2026, 12, day, hour, minute, second, 0, zone)
	}
	tests := map[string]struct {
		want     time.Time
		relative bool
	}{
		"23:00":                     {want: at(31, 23, 0, 0)},
		"22:30":                     {want: at(32, 22, 30, 0)}, // over today
		"5:30":                      {want: at(32, 5, 30, 0)},
		"2h":                        {want: at(32, 0, 30, 15), relative: true},
		"90m":                       {want: at(32, 0, 0, 15), relative: true},
		"2027-01-01T00:00:00+01:00": {want: at(32, 0, 0, 0)},
		"2026-12-31T21:30:15Z":      {}, // now
		"2026-12-31":                {},
		"-1h":                       {},
		"0s":                        {},
		"24:00":                     {},
		"soon":                      {},
		"":                          {},
	}
	for word, tt := range tests {
		got, relative, err := notAfter(word, now)
		if (err != nil) != tt.want.IsZero() || !got.Equal(tt.want) || relative != tt.relative {
			t.Errorf("%q: %s, %v, %v; want %s", word, got, relative, err, tt.want)
		}
		if err != nil && givenCode(err) != codeUsage {
			t.Errorf("%q: code %d", word, givenCode(err))
		}
	}
}

func TestCountText(t *testing.T) {
	t.Parallel()
	fill := func(counts map[string]int) []api.NodeView {
		var out []api.NodeView
		for state, n := range counts {
			for range n {
				out = append(out, api.NodeView{State: state})
			}
		}
		return out
	}
	tests := map[string]struct {
		counts map[string]int
		want   string
	}{
		"many":  {map[string]int{"installing": 329, "agent": 31, stateReady: 640}, "installing 329, agent 31, ready 640 of 1000, 3m0s"},
		"start": {map[string]int{"known": 1000}, "known 1000, ready 0 of 1000, 3m0s"},
		"all states": {map[string]int{
			"known": 10, "checking-bmc": 100, "powering": 101, "netbooting": 102, "agent": 103, "installing": 104, "installed": 105, "booted": 5, stateFailed: 7, stateReady: 300,
		}, "installed 105, installing 104, others 421, failed 7, ready 300 of 937, 3m0s"},
	}
	for name, tt := range tests {
		got := countText(fill(tt.counts), "3m0s", 79)
		if got != tt.want || len(got) > 79 {
			t.Errorf("%s: %q (%d columns), want %q", name, got, len(got), tt.want)
		}
	}
}
