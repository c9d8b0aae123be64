package api

import "github.com/racker-project/racker/pkg/event"

// Kinds of lines that the stream of events adds by itself: GET /v1/events.
const (
	// EventEnd is the last line of a stream that was to go on: the client read too slowly, or the daemon stops. Its ID is
	// the one to go on from. A stream without it broke, and goes on from the last ID that was seen.
	EventEnd event.Kind = "end"
	// EventGap stands for events that are not kept any more, where the client asks to go on from an old one.
	EventGap event.Kind = "gap"
)
