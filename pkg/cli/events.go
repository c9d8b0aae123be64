package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
	"github.com/racker-project/racker/pkg/stdio"
)

// eventSource streams events; see api.Client.Events.
type eventSource interface {
	Events(ctx context.Context, follow bool, after uint64, run string) iter.Seq2[event.Event, error]
}

type eventsOptions struct {
	IO     *stdio.Streams
	Events func() (eventSource, error)
	Follow bool
	Run    string
	After  uint64
	JSON   bool

	pause time.Duration // before a stream that broke is asked for again
}

func newEventsCmd(env *Env) *cobra.Command {
	o := &eventsOptions{IO: env.IO, pause: time.Second, Events: func() (eventSource, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print what happens in the rack",
		Long: `events prints what the daemon saw and did: DHCP packets, files served, BMC readings, steps of the agents, transitions of
nodes, callbacks and alarms. It prints the newest 4096; --after ID prints all later ones that are on disk; --follow goes on with
what comes, over restarts of the daemon too. In a pipe: time, kind, node, message and fields, separated by tabs; with --json one
object per line.

Exit codes: 0 ok; 1 no daemon answers; 2 usage; 130 interrupted.`,
		Example: "  racker events --follow\n  racker events --run run-abc123 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on with what comes")
	f.StringVar(&o.Run, "run", "", "only the events of this run")
	f.Uint64Var(&o.After, "after", 0, "all events that are kept with an ID above this")
	return cmd
}

func (o *eventsOptions) run(ctx context.Context) error {
	src, err := o.Events()
	if err != nil {
		return err
	}
	seen := false
	for {
		err := o.stream(ctx, src, &seen)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("events: %w", context.Cause(ctx))
		case !o.Follow, err != nil && (!api.Unreachable(err) || !seen):
			return err // without a single event there may never be a daemon
		}
		select {
		case <-ctx.Done():
		case <-time.After(o.pause):
		}
	}
}

// stream prints one stream to its end; the next goes on where it broke.
func (o *eventsOptions) stream(ctx context.Context, src eventSource, seen *bool) error {
	for e, err := range src.Events(ctx, o.Follow, o.After, o.Run) {
		if err != nil {
			return err
		}
		*seen, o.After = true, e.ID
		if err := o.print(&e); err != nil {
			return err
		}
	}
	return nil
}

// unsaid gives the fields that the message does not hold already.
func unsaid(e *event.Event) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(e.Fields)) {
		if v := e.Fields[k]; v == "" || !strings.Contains(e.Message, v) {
			out = append(out, k+"="+v)
		}
	}
	return out
}

func (o *eventsOptions) print(e *event.Event) error {
	if o.JSON {
		enc := json.NewEncoder(o.IO.Out)
		enc.SetEscapeHTML(false)
		return enc.Encode(e)
	}
	var facts []string
	for _, k := range slices.Sorted(maps.Keys(e.Fields)) {
		facts = append(facts, k+"="+e.Fields[k])
	}
	cells := []string{e.Time.UTC().Format(time.RFC3339), string(e.Kind), dash(e.Node), e.Message, strings.Join(facts, " ")}
	for i := range cells {
		cells[i] = stdio.Clean(cells[i])
	}
	if !o.IO.OutTTY {
		_, err := fmt.Fprintln(o.IO.Out, strings.Join(cells, "\t"))
		return err
	}
	cells[4] = stdio.Clean(strings.Join(unsaid(e), " "))
	text := fmt.Sprintf("%s  %-10s %-17s  %s", e.Time.Local().Format(time.TimeOnly), cells[1], cells[2], cells[3])
	if e.Kind == event.Alarm {
		text = o.IO.Paint(stdio.Bad, text)
	}
	if cells[4] != "" {
		text += "  " + o.IO.Paint(stdio.Faint, cells[4])
	}
	_, err := fmt.Fprintln(o.IO.Out, text)
	return err
}
