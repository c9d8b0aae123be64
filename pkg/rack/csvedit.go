package rack

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoRow is matched when nodes.csv has no row with the primary MAC that an edit names.
var ErrNoRow = errors.New("no such row")

// MACs are the addresses of a row that an edit sets; zero ones stay as they are.
type MACs struct {
	Primary, BMC, Secondary MAC
}

// AddRow gives the text of a nodes.csv with a row for n behind everything else, which stays byte for byte; only a missing
// end of the last line is added. The values stand in the columns of the file's own header; a value that the header has no
// column for is an error. Line and Management of n are not looked at. name and opt are those of ReadCSV, and so are
// the errors: a text that is wrong, before or after, is refused.
func AddRow(text []byte, name string, opt ReadOptions, n *Node) ([]byte, error) {
	f, old, err := scanned(text, name, opt)
	if err != nil {
		return nil, err
	}
	line, err := f.rowLine(n)
	if err != nil {
		return nil, err
	}
	ending := f.lineEnding()
	out := bytes.Clone(text)
	if last := out[len(out)-1]; last != '\n' && last != '\r' {
		out = append(out, ending...)
	}
	out = append(out, line+ending...)
	return checked(out, name, opt, append(slices.Clone(old.Nodes), *n))
}

// ReplaceMACs gives the text of a nodes.csv in which the row with the given primary MAC has other MACs; every other byte
// stays. It is the same text when nothing changes. The error matches ErrNoRow when there is no such row; name, opt and all
// other errors are as for AddRow.
func ReplaceMACs(text []byte, name string, opt ReadOptions, primary MAC, set MACs) ([]byte, error) {
	f, old, err := scanned(text, name, opt)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(old.Nodes, func(n Node) bool { return n.Primary == primary })
	if i < 0 {
		return nil, fmt.Errorf("%s: %s: %w", name, primary, ErrNoRow)
	}
	n := &old.Nodes[i]
	values := map[int]string{} // by column
	for _, c := range []struct {
		title string
		now   *MAC
		set   MAC
	}{{colPrimary, &n.Primary, set.Primary}, {colBMC, &n.BMC, set.BMC}, {colSecondary, &n.Secondary, set.Secondary}} {
		if c.set.IsZero() || c.set == *c.now {
			continue
		}
		*c.now = c.set
		column := f.head.column(c.title)
		if column < 0 {
			return nil, f.noColumn(c.title)
		}
		values[column] = c.set.String()
	}
	return checked(spliced(text, f.cuts(i, values, len(text)-len(f.src))), name, opt, old.Nodes)
}

// scanned reads a text that must be right, and keeps where its values stand.
func scanned(text []byte, name string, opt ReadOptions) (*csvFile, *Rack, error) {
	f := &csvFile{name: name, opt: opt}
	r, err := f.read(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(f.errs) > 0 {
		return nil, nil, f.joined()
	}
	return f, r, nil
}

// checked gives the text back when it reads as the nodes that it should have.
func checked(text []byte, name string, opt ReadOptions, want []Node) ([]byte, error) {
	now, err := ReadCSV(bytes.NewReader(text), name, opt)
	if err != nil {
		return nil, fmt.Errorf("this row does not fit: %w", err)
	}
	same := slices.EqualFunc(now.Nodes, want, func(a, b Node) bool { return trimmed(&a) == trimmed(&b) })
	if !same {
		return nil, fmt.Errorf("edit %s: the row would not be read as it was given", name)
	}
	return text, nil
}

// trimmed gives what a row says; blanks around a value are never kept.
func trimmed(n *Node) row {
	r := rowOf(n)
	for _, v := range r.values() {
		*v.text = strings.TrimSpace(*v.text)
	}
	return r
}

// value is one value of a row with the title of its column.
type value struct {
	title string
	text  *string
}

// values gives all values in the order of titles.
func (r *row) values() []value {
	return []value{
		{colPrimary, &r.Primary}, {colBMC, &r.BMC}, {colSecondary, &r.Secondary}, {colType, &r.Type}, {colComment, &r.Comment},
		{colName, &r.Name}, {colBMCAddress, &r.BMCAddress}, {colSerial, &r.Serial}, {colDisk, &r.Disk},
		{colLocation, &r.Location}, {colAsset, &r.Asset}, {colBMCUser, &r.BMCUser}, {colBMCPasswordFile, &r.BMCPasswordFile},
	}
}

// rowLine writes a row under the file's own header and separated as that is.
func (f *csvFile) rowLine(n *Node) (string, error) {
	r := trimmed(n)
	words := make([]string, len(f.head.titles))
	for _, v := range r.values() {
		switch column := f.head.column(v.title); {
		case column >= 0:
			words[column] = quoted(*v.text)
		case *v.text != "":
			return "", f.noColumn(v.title)
		}
	}
	return strings.TrimRight(strings.Join(words, f.separator()), " "), nil
}

func (f *csvFile) noColumn(title string) error {
	return &CSVError{
		File: f.name, Line: f.head.at.line, Column: f.head.at.col, Msg: "the header has no column " + title,
		Hint: "add it to the first line of " + f.name,
	}
}

// quoted writes a value so that it is read back (RFC 4180 2).
func quoted(text string) string {
	if strings.ContainsAny(text, "\",\r\n") || strings.HasPrefix(text, "#") {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

// separator is a comma, with the blank behind it that the header has.
func (f *csvFile) separator() string {
	if c := f.top.cells; len(c) > 1 && strings.HasPrefix(strings.TrimLeft(f.src[c[0].to:], " \t"), ", ") {
		return ", "
	}
	return ","
}

// lineEnding is that of the header, "\n" for a header without one.
func (f *csvFile) lineEnding() string {
	rest := f.src[f.top.cells[len(f.top.cells)-1].to:]
	i := strings.IndexAny(rest, "\r\n")
	switch {
	case i < 0 || rest[i] == '\n':
		return "\n"
	case strings.HasPrefix(rest[i:], "\r\n"):
		return "\r\n"
	}
	return "\r"
}

// cut is what stands in the place of the bytes from offset from up to offset to.
type cut struct {
	from, to int
	text     string
}

// cuts gives those that set values of row i, by column; mark is the length of the byte order mark. A row may be shorter
// than the header, and then gets the commas that it lacks.
func (f *csvFile) cuts(i int, values map[int]string, mark int) []cut {
	cells := f.rows[i].cells
	var out []cut
	last := mark + cells[len(cells)-1].to
	behind := cut{from: last, to: last}
	commas := ""
	for column := range f.head.titles {
		text, is := values[column]
		if column < len(cells) {
			if is {
				out = append(out, cut{mark + cells[column].from, mark + cells[column].to, text})
			}
			continue
		}
		commas += f.separator()
		if is {
			behind.text += commas + text
			commas = ""
		}
	}
	return append(out, behind)
}

// spliced makes the cuts, which do not overlap and are sorted.
func spliced(text []byte, cuts []cut) []byte {
	var out []byte
	at := 0
	for _, c := range cuts {
		out = append(append(out, text[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, text[at:]...)
}
