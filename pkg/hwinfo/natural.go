package hwinfo

import (
	"cmp"
	"strings"
)

// natural compares device names as people do: runs of digits by their number, runs of other characters by length first,
// since letters count like digits there: vda < vdb < vdaa, nvme0n1 < nvme1n1 < nvme10n1.
func natural(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a = run(a)
		y, b = run(b)
		if isDigit(x[0]) && isDigit(y[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		}
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// run splits s, which is not empty, after its first run of digits or of other characters.
func run(s string) (first, rest string) {
	digits := isDigit(s[0])
	end := strings.IndexFunc(s, func(c rune) bool { return (c >= '0' && c <= '9') != digits })
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
