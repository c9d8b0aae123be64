package cli

import (
	"fmt"
	"unicode/utf8"

	"github.com/racker-project/racker/pkg/stdio"
)

// liveLine is the last line on stderr: written over and over on a terminal, and once per change of it elsewhere. A prompt
// may take its place; what is written meanwhile goes above the prompt.
type liveLine struct {
	io     *stdio.Streams
	last   string
	open   bool // the cursor stands behind it
	prompt string
}

// eraseLine goes to the first column and clears the line (ECMA-48 8.3.41).
const eraseLine = "\r\x1b[K"

// show replaces the line. Detail is added on terminals only, where it costs no line of its own.
func (l *liveLine) show(text, detail string) {
	if !l.io.ErrTTY {
		if text != "" && text != l.last {
			l.last = text
			fmt.Fprintln(l.io.Err, text)
		}
		return
	}
	if text != "" && detail != "" {
		text += "  "
	}
	text += detail
	if l.prompt != "" || text == l.last && l.open {
		return
	}
	l.last, l.open = text, true
	fmt.Fprint(l.io.Err, eraseLine+clip(text, l.io.Width()-1))
}

// end writes the line for good.
func (l *liveLine) end(text string) {
	if l.open || l.io.ErrTTY || text != l.last {
		l.tell(text)
	}
	l.open, l.last = false, ""
}

// tell writes a line above what is shown.
func (l *liveLine) tell(text string) {
	if l.open || l.prompt != "" && l.io.ErrTTY {
		fmt.Fprint(l.io.Err, eraseLine)
	}
	fmt.Fprintln(l.io.Err, text)
	if l.prompt != "" {
		fmt.Fprint(l.io.Err, l.prompt)
	}
	l.open, l.last = false, ""
}

// ask shows a prompt in place of the line until it is asked for something else, "" for nothing.
func (l *liveLine) ask(prompt string) {
	if prompt == l.prompt {
		return
	}
	l.clear()
	fmt.Fprint(l.io.Err, prompt)
	l.prompt = prompt
}

// entered is what a prompt needs to know of a terminal where enter was pressed: the cursor is on the next line.
func (l *liveLine) entered() { l.prompt = "" }

// clear takes the line, or the prompt, away.
func (l *liveLine) clear() {
	if l.open || l.prompt != "" {
		fmt.Fprint(l.io.Err, eraseLine)
	}
	l.open, l.last, l.prompt = false, "", ""
}

// clip cuts plain text to width columns.
func clip(text string, width int) string {
	if width < 1 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
