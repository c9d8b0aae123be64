package rack

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gocarina/gocsv"
)

// Interface is a network interface of this machine. VLANs, bonds and bridges share MACs with what is below them.
type Interface struct {
	Name string `json:"name"`
	MAC  MAC    `json:"mac"`
}

// ReadOptions says how ReadCSV finds the management node.
type ReadOptions struct {
	// Local are the interfaces of this machine: the row with a MAC of theirs is the management node's.
	Local []Interface
	// ManagementMAC names the management node's row by its primary or secondary MAC; Local is then not looked at.
	ManagementMAC MAC
	// SkipLocal leaves the management node open when ManagementMAC is zero, for tools that only read the file.
	SkipLocal bool
	// InternalInterface is the setting internal.interface: the management node's secondary MAC need then be on no
	// interface.
	InternalInterface string
}

// csvFile is one nodes.csv while it is read.
type csvFile struct {
	name string
	opt  ReadOptions
	errs []*CSVError
	src  string // the text without its byte order mark
	top  record // its first line
	head header
	rows []record
	text []row
}

// ReadCSV reads a nodes.csv. The error joins every mistake of the file, each a *CSVError, sorted by line and column;
// a reader's own error is wrapped. name is what the errors call the file.
func ReadCSV(r io.Reader, name string, opt ReadOptions) (*Rack, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	f := &csvFile{name: name, opt: opt}
	rack, err := f.read(string(data))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(f.errs) > 0 {
		return nil, f.joined()
	}
	return rack, nil
}

func (f *csvFile) read(text string) (*Rack, error) {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		f.fail(position{1, 1}, "the file is UTF-16", "save it as UTF-8")
		return nil, nil
	}
	scan := newScanner(text, f.fail)
	f.src = scan.src
	records := scan.records()
	if len(records) == 0 {
		f.fail(position{1, 1}, "no header: the file is empty",
			"the first line names the columns: "+strings.Join(titles()[:standardColumns], ", "))
		return nil, nil
	}
	if first := records[0].cells[0]; strings.Count(first.text, ";") >= standardColumns-1 {
		f.fail(first.at, "no header: the values are separated by semicolons", "separate them by commas")
		return nil, nil
	}
	head, isRow := f.header(records[0])
	f.top, f.head, f.rows = records[0], head, records
	if !isRow {
		f.rows = records[1:]
	}
	if err := gocsv.UnmarshalCSV(f, &f.text); err != nil {
		return nil, err
	}
	rack := &Rack{}
	for i := range f.text {
		rack.Nodes = append(rack.Nodes, f.node(i))
	}
	f.checkDuplicates()
	f.findManagement(rack)
	f.checkPowered(rack)
	return rack, nil
}

// Read is there for gocsv, which never calls it for a whole file.
func (f *csvFile) Read() ([]string, error) { return nil, io.EOF }

// ReadAll gives gocsv the titles as racker writes them, then the rows.
func (f *csvFile) ReadAll() ([][]string, error) {
	all := [][]string{f.head.titles}
	for _, rec := range f.rows {
		var words []string
		for j, c := range rec.cells {
			words = append(words, f.clean(j, c))
		}
		all = append(all, words)
	}
	return all, nil
}

// clean reports a value that is in no column or holds what no value may hold, and gives the others as they are.
func (f *csvFile) clean(column int, c cell) string {
	if c.text == "" {
		return ""
	}
	if column >= len(f.head.titles) || f.head.titles[column] == "" {
		f.fail(c.at, fmt.Sprintf("%q is in no column of the header", shorten(c.text)), "put a value that holds commas in quotes")
		return ""
	}
	comment := f.head.titles[column] == colComment
	bad := strings.IndexFunc(c.text, func(r rune) bool {
		if comment && (r == '\n' || r == '\t') {
			return false
		}
		return r == utf8.RuneError || unicode.IsControl(r)
	})
	if bad < 0 {
		return c.text
	}
	f.fail(c.at, fmt.Sprintf("%q holds a control character or is not UTF-8", shorten(c.text)), "")
	return ""
}

// shorten cuts a value that an error shows.
func shorten(s string) string {
	if r := []rune(s); len(r) > maxShown {
		return string(r[:maxShown]) + "..."
	}
	return s
}

// maxShown is how many characters of a value an error shows.
const maxShown = 40

// fail reports a mistake.
func (f *csvFile) fail(at position, msg, hint string) {
	f.errs = append(f.errs, &CSVError{File: f.name, Line: at.line, Column: at.col, Msg: msg, Hint: hint})
}

// place is where the value of a column begins in row i, or would begin.
func (f *csvFile) place(i int, title string) position {
	rec := f.rows[i]
	if c := f.head.column(title); c >= 0 && c < len(rec.cells) {
		return rec.cells[c].at
	}
	return rec.end
}

// line is the line on which row i begins.
func (f *csvFile) line(i int) int { return f.rows[i].cells[0].at.line }

func (f *csvFile) joined() error {
	slices.SortStableFunc(f.errs, func(a, b *CSVError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, len(f.errs))
	for i, e := range f.errs {
		all[i] = e
	}
	return errors.Join(all...)
}
