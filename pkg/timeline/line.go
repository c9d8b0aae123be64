package timeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/racker-project/racker/pkg/event"
)

const (
	// maxLine bounds a line; an event beyond it is written without its fields and the end of its message.
	maxLine = 32 << 10
	// maxCut is what then stays of the message, in bytes.
	maxCut = 2 << 10
)

// line is an event as the files have it.
func line(e event.Event) []byte {
	b, err := json.Marshal(e)
	if err != nil || len(b) > maxLine { // an error: a time beyond the year 9999
		e.Fields, e.Message = nil, strings.ToValidUTF8(e.Message[:min(len(e.Message), maxCut)], "")
		if err != nil {
			e.Time = time.Time{}
		}
		if b, err = json.Marshal(e); err != nil {
			return nil
		}
	}
	return append(b, '\n')
}

// head is how every line begins.
const head = `{"id":`

// lineID reads the ID of a line without the rest.
func lineID(b []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(b, []byte(head))
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 0 {
		return 0, false
	}
	id, err := strconv.ParseUint(string(rest[:end]), 10, 62) // no clock comes near the end
	return id, err == nil
}

// parse reads the lines of b with an ID above after, and skips what is no event. IDs grow in what it gives, whatever is in
// the file.
func parse(b []byte, after uint64) []event.Event {
	var out []event.Event
	for l := range bytes.Lines(b) {
		id, ok := lineID(l)
		if !ok || id <= after {
			continue
		}
		var e event.Event
		if json.Unmarshal(l, &e) == nil {
			out, after = append(out, e), id
		}
	}
	return out
}

// runLine is an event as the log of a run has it.
func runLine(e event.Event, name string) []byte {
	text := fmt.Sprintf("%s %-10s %-17s %s", e.Time.UTC().Format(time.RFC3339), e.Kind, name, e.Message)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), maxLine)], "?"))
	return []byte(strings.TrimRight(text, " ") + "\n")
}
