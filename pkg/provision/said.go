package provision

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/bootd"
)

// Bounds of what a machine says and racker keeps, in bytes. Together they leave a record well below the store's 1 MiB: a
// record that could not be written any more would stand still for ever.
const (
	maxSentence  = 1000
	maxInventory = 256 << 10 // identity and hardware, or a callback, as JSON
	maxDisk      = 32 << 10  // a chosen disk with the systems found on others
)

// bootToken finds the token of a kernel command line, which the kernel prints.
var bootToken = regexp.MustCompile(regexp.QuoteMeta(api.ArgToken) + `=[^\s"\\]+`)

// sentence makes one line of what may hold a machine's words: short, without control characters and boot tokens.
func sentence(text string) string {
	if len(text) > maxSentence {
		end := maxSentence
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + " ..."
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, withoutToken(text)))
}

// logLines are lines of a log, as sentence makes one.
func logLines(lines []byte) []byte {
	text := strings.ToValidUTF8(string(lines), "?")
	return []byte(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, withoutToken(text)))
}

func withoutToken(text string) string {
	return bootToken.ReplaceAllLiteralString(text, api.ArgToken+"=(removed)")
}

// bounded refuses what is too large to be kept.
func bounded(what string, limit int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, err, bootd.ErrRefused)
	}
	if len(b) > limit {
		return fmt.Errorf("%s has %d bytes, of %d at most: %w", what, len(b), limit, bootd.ErrRefused)
	}
	return nil
}
