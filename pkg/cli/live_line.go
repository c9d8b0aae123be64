package cli

import (
	"fmt"
	"unicode/utf8"

	"github.com/racker-project/racker/pkg/stdio"
)

// liveLine is the last line on stderr: written over and over on a terminal, and once per change of it elsewhere.
type liveLine struct {
	io   *stdio.Streams
	last string
	open bool // the cursor stands behind it
}

// eraseLine goes to the first column and clears the line (ECMA-48 8.3.41).
const eraseLine = "\r\x1b[K"

// show replaces the line. Detail is added on terminals only, where it costs no line of its own.
func (l *liveLine) show(text, detail string) {
	if !l.io.ErrTTY {
		if text != l.last {
			l.last = text
			fmt.Fprintln(l.io.Err, text)
		}
		return
	}
	if detail != "" {
		text += "  " + detail
	}
	if text == l.last && l.open {
		return
	}
	l.last, l.open = text, true
	fmt.Fprint(l.io.Err, eraseLine+clip(text, l.io.Width()-1))
}

// end writes the line for good.
func (l *liveLine) end(text string) {
	if l.open {
		fmt.Fprint(l.io.Err, eraseLine)
	}
	if l.open || l.io.ErrTTY || text != l.last {
		fmt.Fprintln(l.io.Err, text)
	}
	l.open, l.last = false, ""
}

// clear takes the line away.
func (l *liveLine) clear() {
	if l.open {
		fmt.Fprint(l.io.Err, eraseLine)
	}
	l.open, l.last = false, ""
}

// clip cuts plain text to width columns.
func clip(text string, width int) string {
	if width < 1 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
