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
	spare   []int
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

// Spare names the columns (from 0) that a terminal which is too narrow for the table does without, the first one
// first. A pipe always gets all of them.
func (t *Table) Spare(columns ...int) *Table {
	t.spare = columns
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
	widths := columnWidths(all)
	shown := t.shown(widths)
	for _, row := range all {
		var line strings.Builder
		for i, c := range row {
			if i < len(shown) && !shown[i] {
				continue
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			line.WriteString(t.s.Paint(c.color, c.text) + pad + columnGap)
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
}

func columnWidths(rows [][]cell) []int {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	return widths
}

// shown says which columns fit the terminal.
func (t *Table) shown(widths []int) []bool {
	shown := make([]bool, len(widths))
	total := -len(columnGap)
	for i, w := range widths {
		shown[i] = true
		total += w + len(columnGap)
	}
	for _, i := range t.spare {
		if total <= t.s.Width() {
			break
		}
		if i < len(widths) && shown[i] {
			shown[i] = false
			total -= widths[i] + len(columnGap)
		}
	}
	return shown
}
