package rack

import (
	"fmt"
	"strings"
	"unicode"
)

// row is a row of nodes.csv as text; gocsv joins its fields to columns by title.
type row struct {
	Primary         string `csv:"Primary MAC address"`
	BMC             string `csv:"BMC MAC address"`
	Secondary       string `csv:"Secondary MAC address"`
	Type            string `csv:"Node Type"`
	Comment         string `csv:"Comments"`
	Name            string `csv:"Name"`
	BMCAddress      string `csv:"BMC Address"`
	Serial          string `csv:"Serial"`
	Disk            string `csv:"Disk"`
	Location        string `csv:"Location"`
	Asset           string `csv:"Asset"`
	BMCUser         string `csv:"BMC User"`
	BMCPasswordFile string `csv:"BMC Password File"`
}

// Titles of the columns as racker writes them.
const (
	colPrimary         = "Primary MAC address"
	colBMC             = "BMC MAC address"
	colSecondary       = "Secondary MAC address"
	colType            = "Node Type"
	colComment         = "Comments"
	colName            = "Name"
	colBMCAddress      = "BMC Address"
	colSerial          = "Serial"
	colDisk            = "Disk"
	colLocation        = "Location"
	colAsset           = "Asset"
	colBMCUser         = "BMC User"
	colBMCPasswordFile = "BMC Password File"
)

// standardColumns is how many of titles are in every nodes.csv since 2021, in this order.
const standardColumns = 5

func titles() []string {
	return []string{
		colPrimary, colBMC, colSecondary, colType, colComment,
		colName, colBMCAddress, colSerial, colDisk, colLocation, colAsset, colBMCUser, colBMCPasswordFile,
	}
}

// title finds the column that a word of the header means, "" for none. Case, blanks and punctuation do not count,
// nor does a left out "address" of a MAC.
func title(word string) string {
	w := letters(word)
	switch w {
	case "primary":
		return colPrimary
	case "secondary":
		return colSecondary
	case "type":
		return colType
	case "comment":
		return colComment
	case "serialnumber":
		return colSerial
	case "bmcip", "bmcipaddress":
		return colBMCAddress
	case "assettag":
		return colAsset
	}
	for _, t := range titles() {
		if l := letters(t); w == l || (strings.HasSuffix(l, "macaddress") && w == strings.TrimSuffix(l, "address")) {
			return t
		}
	}
	return ""
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// nearest names the column that an unknown word comes closest to.
func nearest(word string) string {
	best, distance := "", 0
	for _, t := range titles() {
		if d := editDistance(letters(word), letters(t)); best == "" || d < distance {
			best, distance = t, d
		}
	}
	return best
}

// editDistance is Levenshtein's: how many characters must be put in, taken out or changed.
func editDistance(a, b string) int {
	from, to := []rune(a), []rune(b)
	line := make([]int, len(to)+1)
	for j := range line {
		line[j] = j
	}
	for i, x := range from {
		diagonal := line[0]
		line[0] = i + 1
		for j, y := range to {
			cost := diagonal
			if x != y {
				cost++
			}
			diagonal = line[j+1]
			line[j+1] = min(cost, diagonal+1, line[j]+1)
		}
	}
	return line[len(to)]
}

// unknownColumn stands for a column whose header was reported as wrong: its values are not looked at.
const unknownColumn = "?"

// maxHeaderWord bounds the words for which a nearest column is looked for.
const maxHeaderWord = 64

// header joins column titles to positions in a record.
type header struct {
	titles []string // by position; "" where the header is empty, unknownColumn for a mistake
	at     position
}

// column gives the position of a title, -1 when the file has no such column.
func (h *header) column(t string) int {
	for i, have := range h.titles {
		if have == t {
			return i
		}
	}
	return -1
}

// header reads the first record as the header. When it is none, the columns of 2021 are assumed so that the rows
// are checked all the same; a first record with a MAC in it is then a row, which isRow says.
func (f *csvFile) header(first record) (h header, isRow bool) {
	h.at = first.cells[0].at
	known, macs := 0, 0
	for _, c := range first.cells {
		if title(c.text) != "" {
			known++
		}
		if _, err := ParseMAC(c.text); err == nil {
			macs++
		}
	}
	if known == 0 {
		f.noHeader(first)
		h.titles = titles()[:standardColumns]
		return h, macs > 0
	}
	for _, c := range first.cells {
		h.titles = append(h.titles, f.headerCell(&h, c))
	}
	if h.column(colPrimary) < 0 {
		f.fail(h.at, "no column "+colPrimary, "")
	}
	if h.column(colBMC) < 0 && h.column(colBMCAddress) < 0 {
		f.fail(h.at, "no column "+colBMC, "")
	}
	return h, false
}

// noHeader reports a first record that names no column.
func (f *csvFile) noHeader(first record) {
	want := "the first line names the columns: " + strings.Join(titles()[:standardColumns], ", ")
	for _, c := range first.cells {
		if _, err := ParseMAC(c.text); err == nil {
			f.fail(c.at, fmt.Sprintf("no header: the first line holds the MAC address %s", c.text), want)
			return
		}
	}
	f.fail(first.cells[0].at, "no header: the first line names no known column", want)
}

// headerCell gives the title that a word of the header means.
func (f *csvFile) headerCell(h *header, c cell) string {
	if _, err := ParseMAC(c.text); err == nil {
		f.fail(c.at, fmt.Sprintf("the header holds the MAC address %s", c.text), "")
		return unknownColumn
	}
	t := title(c.text)
	switch {
	case c.text == "":
		return ""
	case t == "" && len(c.text) > maxHeaderWord:
		f.fail(c.at, "unknown column", "")
		return unknownColumn
	case t == "":
		f.fail(c.at, fmt.Sprintf("unknown column %q, the nearest known one is %q", c.text, nearest(c.text)), "")
		return unknownColumn
	case h.column(t) >= 0:
		f.fail(c.at, fmt.Sprintf("column %q is there twice", t), "")
		return unknownColumn
	}
	return t
}
