package rack

import "fmt"

// CSVError is one mistake in a nodes.csv.
type CSVError struct {
	File string `json:"file"`
	// Line counts from 1; so does Column, in characters, at the start of the field. Column 0 means the whole line,
	// Line 0 the whole file.
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Msg    string `json:"message"`
	// Hint says how to repair it, where that is not plain.
	Hint string `json:"hint,omitempty"`
}

// Error implements error: "nodes.csv:3:20: message".
func (e *CSVError) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}
