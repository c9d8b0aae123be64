// Package stdio owns the standard streams: what is a terminal, how wide it is, whether it wants colour, and how
// tables and JSON look on it. The answer of a command goes to Out, everything else to Err.
//
// It starts no goroutine. Streams is for one goroutine at a time, but its writers may be used by several.
package stdio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Streams are the three streams of one command. The zero value is useless; System and Test make one.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// InTTY, OutTTY and ErrTTY report which of them are terminals.
	InTTY, OutTTY, ErrTTY bool
	// NoInput forbids prompts even on a terminal (--no-input).
	NoInput bool

	width func() int
	plain bool // what the environment says: NO_COLOR, TERM=dumb, CI
	color ColorMode
}

// defaultWidth is assumed where nobody knows the terminal's width.
const defaultWidth = 80

// System gives the process's own streams. getenv tells NO_COLOR, TERM and CI.
func System(getenv func(string) string) *Streams {
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		OutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		width:  terminalWidth,
		color:  ColorAuto,
	}
	s.plain = getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" || getenv("CI") != ""
	return s
}

// Test gives streams over buffers: none is a terminal until the test says so, 80 columns wide, without colour.
func Test() (s *Streams, in, out, errOut *bytes.Buffer) {
	in, out, errOut = &bytes.Buffer{}, &bytes.Buffer{}, &bytes.Buffer{}
	s = &Streams{
		In: in, Out: out, Err: errOut, color: ColorAuto,
		width: func() int { return defaultWidth },
	}
	return s, in, out, errOut
}

// CanPrompt reports whether a person can be asked: In and Err are terminals and prompts are not forbidden.
func (s *Streams) CanPrompt() bool { return s.InTTY && s.ErrTTY && !s.NoInput }

// Width gives the columns of the terminal, 80 where there is none.
func (s *Streams) Width() int { return s.width() }

// Outf writes formatted text on Out.
func (s *Streams) Outf(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.Out, format, args...); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// Errf writes formatted text on Err. There is nobody left to tell when that does not work, so it gives no error.
func (s *Streams) Errf(format string, args ...any) { _, _ = fmt.Fprintf(s.Err, format, args...) }

// JSON writes v on Out followed by a newline: indented on a terminal, one line in a pipe.
func (s *Streams) JSON(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	if s.OutTTY {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func terminalWidth() int {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return defaultWidth
}
