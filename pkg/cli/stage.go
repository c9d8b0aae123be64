package cli

import (
	"fmt"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// States of a stage. They are part of the API.
const (
	stageWaiting = "waiting"
	stageRunning = "running"
	stageDone    = "done"
	stageFailed  = "failed"
)

// stageLine gives a stage with its count, by the words that racker has always printed.
func stageLine(paint func(stdio.Color, string) string, s api.Stage) string {
	text := fmt.Sprintf("%s (%d/%d)", s.Name, s.Done, s.Total)
	switch s.State {
	case stageDone:
		return text + " ... " + paint(stdio.Good, "✓ done")
	case stageFailed:
		return text + " ... " + paint(stdio.Bad, "× failed")
	case stageWaiting:
		return text + " ... waiting"
	}
	return text
}
