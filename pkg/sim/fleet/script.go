package fleet

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// shebang is how iPXE knows a script (ipxe.org/scripting).
const shebang = "#!ipxe"

// Bounds of what is run, since scripts come from outside.
const (
	maxScript = 1 << 20 // bytes
	maxLines  = 1000    // that one script may run
	maxDepth  = 16      // scripts that call each other
	maxValue  = 4 << 10
)

var (
	errNoScript = errors.New("not an iPXE script")
	errLabel    = errors.New("no such label")
	errEndless  = errors.New("the script does not end")
)

// script is an iPXE script: its lines, and where its labels are.
type script struct {
	lines  []string
	labels map[string]int
}

// parseScript reads a script (iPXE: src/image/script.c): a line that ends in a backslash goes on in the next.
func parseScript(text []byte) (*script, error) {
	if len(text) > maxScript || !strings.HasPrefix(string(text), shebang) {
		return nil, errNoScript
	}
	s := &script{labels: map[string]int{}}
	joined := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\\\n", "")
	for _, l := range strings.Split(joined, "\n")[1:] {
		l = strings.TrimSpace(l)
		if label, ok := strings.CutPrefix(l, ":"); ok {
			s.labels[strings.TrimSpace(label)] = len(s.lines)
			continue
		}
		if l == "" || l[0] == '#' {
			continue
		}
		s.lines = append(s.lines, l)
	}
	return s, nil
}

// command is one command of a line, and the operator that stands before it: "", "||", "&&" or ";".
type command struct {
	op    string
	words []string
}

// commands splits a line whose settings are expanded (iPXE: src/core/exec.c). A word that begins with # ends the line.
func commands(line string) []command {
	out := []command{{}}
	for _, w := range strings.Fields(line) {
		if w[0] == '#' {
			break
		}
		if w == "||" || w == "&&" || w == ";" {
			out = append(out, command{op: w})
			continue
		}
		last := &out[len(out)-1]
		last.words = append(last.words, w)
	}
	return out
}

// settingForm is a reference to a setting: ${name}, ${scope/name}, ${name:type}.
var settingForm = regexp.MustCompile(`\$\{([^${}]*)\}`)

// settings are iPXE's of one machine, under their plain names.
type settings map[string]string

// get gives a setting as its reference wants it; unknown ones are empty.
func (s settings) get(reference string) string {
	name, kind, _ := strings.Cut(reference, ":")
	if _, rest, ok := strings.Cut(name, "/"); ok {
		name = rest
	}
	v := s[name]
	switch kind {
	case "hexhyp":
		return strings.ReplaceAll(v, ":", "-")
	case "hexraw":
		return strings.ReplaceAll(v, ":", "")
	case "uristring":
		return uriString(v)
	}
	return v
}

// expand replaces references, inner ones first.
func (s settings) expand(line string) string {
	for range 16 {
		next := settingForm.ReplaceAllStringFunc(line, func(ref string) string { return s.get(ref[2 : len(ref)-1]) })
		if next == line || len(next) > maxValue {
			return line
		}
		line = next
	}
	return line
}

// uriString escapes what iPXE escapes.
func uriString(v string) string {
	var b strings.Builder
	for i := range len(v) {
		c := v[i]
		if c > ' ' && c < 0x7f && !strings.ContainsRune(`%"<>\^{|}`+"`", rune(c)) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// set stores a setting; the type of its name is dropped.
func (s settings) set(name, value string) {
	name, _, _ = strings.Cut(name, ":")
	s[name] = value
}

// inc adds to a numeric setting.
func (s settings) inc(name string, by []string) error {
	n, step := 0, 1
	var err error
	if v := s.get(name); v != "" {
		n, err = strconv.Atoi(v)
	}
	if len(by) > 0 && err == nil {
		step, err = strconv.Atoi(by[0])
	}
	if err != nil {
		return fmt.Errorf("inc %s: %w", name, err)
	}
	s.set(name, strconv.Itoa(n+step))
	return nil
}
