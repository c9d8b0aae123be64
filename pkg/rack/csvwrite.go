package rack

import (
	"encoding/csv"
	"fmt"
	"io"

	"github.com/gocarina/gocsv"
)

// WriteCSV writes r as a nodes.csv that ReadCSV reads back equal, but for Line. The columns of 2021 are always there,
// the others when a row uses them.
func WriteCSV(w io.Writer, r *Rack) error {
	rows := make([]row, len(r.Nodes))
	for i := range r.Nodes {
		rows[i] = rowOf(&r.Nodes[i])
	}
	all := &sheet{}
	if err := gocsv.MarshalCSV(rows, all); err != nil {
		return fmt.Errorf("write nodes.csv: %w", err)
	}
	if err := csv.NewWriter(w).WriteAll(all.withoutUnused()); err != nil {
		return fmt.Errorf("write nodes.csv: %w", err)
	}
	return nil
}

func rowOf(n *Node) row {
	r := row{
		Primary: n.Primary.String(), BMC: n.BMC.String(), Secondary: n.Secondary.String(),
		Type: n.Type, Comment: n.Comment, Name: n.Name, Serial: n.Serial, Disk: n.Disk,
		Location: n.Location, Asset: n.Asset, BMCUser: n.BMCUser, BMCPasswordFile: n.BMCPasswordFile,
	}
	if n.BMCAddress.IsValid() {
		r.BMCAddress = n.BMCAddress.String()
	}
	return r
}

// sheet collects what gocsv writes; it is a gocsv.CSVWriter.
type sheet struct{ lines [][]string }

// Write keeps one line.
func (s *sheet) Write(words []string) error {
	s.lines = append(s.lines, append([]string(nil), words...))
	return nil
}

// Flush does nothing: lines are kept.
func (s *sheet) Flush() {}

// Error is always nil.
func (s *sheet) Error() error { return nil }

// withoutUnused drops the optional columns in which no row has a value.
func (s *sheet) withoutUnused() [][]string {
	out := make([][]string, len(s.lines))
	for column := range titles() {
		used := column < standardColumns
		for _, line := range s.lines[1:] {
			used = used || line[column] != ""
		}
		for i, line := range s.lines {
			if used {
				out[i] = append(out[i], line[column])
			}
		}
	}
	return out
}
