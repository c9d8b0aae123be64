// Package timeline keeps what happened: it gives events their IDs, hands them to whoever follows, and writes them below one
// directory, so that they outlive the daemon.
//
//	events.jsonl      all events, one JSON object per line, in the order of their IDs
//	nodes/MAC.jsonl   the events of one node
//	runs/RUN.log      the events of one run, as lines to read
//
// Each has older parts beside it (events.jsonl.1 is older than events.jsonl), rotated by size. Readers skip lines that
// they cannot parse; of a line that a crash cut short the next Open removes the rest.
//
// Publish never waits, neither for a disk nor for a reader. Run owns the one goroutine that writes; it writes what came
// in a moment together, and opens one file at a time. When the disk is full or cannot be written, events go on in memory, a
// line of kind "lost" in the files says how many are missing, and the log says so once. What the last fraction of a second
// before a kill held is lost without a word. The package keeps no secret out: who publishes does.
package timeline
