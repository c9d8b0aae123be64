package stdio

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Table collects rows for Out. On a terminal it is aligned under upper-case headers; in a pipe the cells are
// separated by tabs and there is no header, so that cut and awk can have it.
type Table struct {
	s       *Streams
	headers []string
	rows    [][]cell
}

type cell struct {
	text  string
	color Color
}

// columnGap separates the columns of an aligned table.
const columnGap = "  "

// Table starts a table with one header per column.
func (s *Streams) Table(headers ...string) *Table { return &Table{s: s, headers: headers} }

// Row adds a row. Control characters in cells become blanks: what a BMC or a comment says never drives the
// terminal.
func (t *Table) Row(cells ...string) *Table {
	row := make([]cell, len(cells))
	for i, c := range cells {
		row[i] = cell{text: Clean(c)}
	}
	t.rows = append(t.rows, row)
	return t
}

// Color colours cell number column (from 0) of the last row, where Out takes colour.
func (t *Table) Color(column int, c Color) *Table {
	if n := len(t.rows); n > 0 && column < len(t.rows[n-1]) {
		t.rows[n-1][column].color = c
	}
	return t
}

// Flush writes the table.
func (t *Table) Flush() error {
	var b strings.Builder
	if t.s.OutTTY {
		t.aligned(&b)
	} else {
		t.tabbed(&b)
	}
	if _, err := t.s.Out.Write([]byte(b.String())); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// Clean replaces the control characters of text by blanks.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func (t *Table) tabbed(b *strings.Builder) {
	for _, row := range t.rows {
		for i, c := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(t.s.Paint(c.color, c.text))
		}
		b.WriteByte('\n')
	}
}

func (t *Table) aligned(b *strings.Builder) {
	head := make([]cell, len(t.headers))
	for i, h := range t.headers {
		head[i] = cell{text: strings.ToUpper(h)}
	}
	all := append([][]cell{head}, t.rows...)
	var widths []int
	for _, row := range all {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range all {
		for i, c := range row {
			pad := ""
			if i < len(row)-1 {
				pad = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)) + columnGap
			}
			b.WriteString(t.s.Paint(c.color, c.text) + pad)
		}
		b.WriteByte('\n')
	}
}
