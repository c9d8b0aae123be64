package rack

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner cuts a nodes.csv into records (RFC 4180, but lenient where people are: blanks around values, '#' lines,
// empty lines, any line ending, quotes inside a bare value). Unlike encoding/csv it goes on behind a mistake and
// counts columns in characters.
type scanner struct {
	src       string
	pos       int // byte offset
	line, col int // of pos, from 1
	fail      func(at position, msg, hint string)
}

// position is a place in the file, both counted from 1.
type position struct{ line, col int }

// cell is one value with the place where it begins. Its bytes, quotes included and blanks around it not, are those from
// offset from up to offset to of the text without its byte order mark.
type cell struct {
	text     string
	at       position
	from, to int
}

// record is one row with the place behind its last value.
type record struct {
	cells []cell
	end   position
}

// endOfText is what peek gives at the end; no valid text holds it.
const endOfText = rune(-1)

// byteOrderMark is what spreadsheets put before UTF-8.
const byteOrderMark = "\ufeff"

func newScanner(src string, fail func(position, string, string)) *scanner {
	return &scanner{src: strings.TrimPrefix(src, byteOrderMark), line: 1, col: 1, fail: fail}
}

func (s *scanner) at() position { return position{s.line, s.col} }

// peek gives the next character and its bytes; every line ending reads as '\n'.
func (s *scanner) peek() (r rune, size int) {
	if s.pos >= len(s.src) {
		return endOfText, 0
	}
	r, size = utf8.DecodeRuneInString(s.src[s.pos:])
	if r == '\r' {
		r = '\n'
		if strings.HasPrefix(s.src[s.pos+1:], "\n") {
			size = 2
		}
	}
	return r, size
}

func (s *scanner) next() rune {
	r, size := s.peek()
	s.pos += size
	switch r {
	case endOfText:
	case '\n':
		s.line, s.col = s.line+1, 1
	default:
		s.col++
	}
	return r
}

func (s *scanner) skipBlanks() {
	for r, _ := s.peek(); r != '\n' && unicode.IsSpace(r); r, _ = s.peek() {
		s.next()
	}
}

// records reads all rows that hold a value.
func (s *scanner) records() []record {
	var all []record
	for {
		s.skipBlanks()
		switch r, _ := s.peek(); r {
		case endOfText:
			return all
		case '\n':
			s.next()
		case '#':
			s.until('\n')
		default:
			if rec := s.record(); rec.used() {
				all = append(all, rec)
			}
		}
	}
}

// record reads one row and its line ending.
func (s *scanner) record() record {
	var rec record
	for {
		rec.cells = append(rec.cells, s.cell())
		rec.end = s.at()
		if s.next() != ',' {
			return rec
		}
	}
}

// cell reads one value up to, but without, the comma or line ending behind it.
func (s *scanner) cell() cell {
	s.skipBlanks()
	c := cell{at: s.at(), from: s.pos}
	if r, _ := s.peek(); r == '"' {
		c.text = strings.TrimSpace(s.quoted())
	} else {
		c.text = strings.TrimSpace(s.until(','))
	}
	c.to = c.from + len(strings.TrimSpace(s.src[c.from:s.pos]))
	return c
}

// until reads up to the delimiter or the end of the line.
func (s *scanner) until(delimiter rune) string {
	from := s.pos
	for r, _ := s.peek(); r != delimiter && r != '\n' && r != endOfText; r, _ = s.peek() {
		s.next()
	}
	return s.src[from:s.pos]
}

func (s *scanner) quoted() string {
	start := *s
	s.next()
	inner := *s
	var b strings.Builder
	for {
		switch r := s.next(); r {
		case endOfText:
			s.fail(start.at(), "this quote is never closed", "")
			// Go on with the next line, so that its mistakes are found too.
			*s = inner
			return s.until('\n')
		case '"':
			if again, _ := s.peek(); again != '"' {
				s.afterQuote()
				return b.String()
			}
			s.next()
			b.WriteByte('"')
		default:
			b.WriteRune(r)
		}
	}
}

// afterQuote passes what stands between a closing quote and the next comma: blanks only.
func (s *scanner) afterQuote() {
	s.skipBlanks()
	at := s.at()
	if rest := s.until(','); rest != "" {
		s.fail(at, "text behind a closing quote", `write a quote inside quotes twice: "5"" disk"`)
	}
}

// used reports whether any value of the record is not empty.
func (r record) used() bool {
	for _, c := range r.cells {
		if c.text != "" {
			return true
		}
	}
	return false
}
