package cluster

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader walks YAML nodes rather than decode into structs, so that each problem has its place.
type reader struct{ findings }

// key is a name that a mapping may have.
type key struct {
	name string
	read func(n *yaml.Node, path string)
}

// at resolves an alias, which stands for what it names; the place is its own.
func at(n *yaml.Node) pos { return pos{n.Line, n.Column} }

func real(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// each calls do for every name of a mapping. Nothing at all is an empty mapping.
func (r *reader) each(n *yaml.Node, path string, do func(name, value *yaml.Node, path string)) {
	n = real(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(at(n), path, "want names with values below them")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		full := join(path, name.Value)
		if name.Kind != yaml.ScalarNode || name.Tag == "!!merge" {
			r.fail(at(name), path, "want a plain name; merges (<<) are not read, aliases (*name) are")
			continue
		}
		if line, twice := seen[name.Value]; twice {
			r.fail(at(name), full, "is set twice, first on line %d", line)
			continue
		}
		seen[name.Value] = name.Line
		do(name, value, full)
	}
}

// mapping reads a mapping that has only the names that keys gives.
func (r *reader) mapping(n *yaml.Node, path string, keys []key) {
	r.each(n, path, func(name, value *yaml.Node, full string) {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		if i < 0 {
			names := make([]string, 0, len(keys))
			for _, k := range keys {
				names = append(names, k.name)
			}
			r.fail(at(name), full, "there is no such key%s", suggest(name.Value, names))
			return
		}
		keys[i].read(value, full)
	})
}

// list calls do for every item; a single value is a list of one.
func (r *reader) list(n *yaml.Node, path string, do func(n *yaml.Node, path string)) {
	n = real(n)
	switch {
	case isNull(n):
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			do(item, path+"["+strconv.Itoa(i)+"]")
		}
	default:
		do(n, path)
	}
}

// text gives a scalar's text; ok is false, and said, for anything else.
func (r *reader) text(n *yaml.Node, path string) (text string, ok bool) {
	n = real(n)
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.fail(at(n), path, "want one value")
		return "", false
	}
	if strings.ContainsFunc(n.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		r.fail(at(n), path, "want one line without control characters")
		return "", false
	}
	return n.Value, true
}

func (r *reader) boolean(n *yaml.Node, path string) (on, ok bool) {
	text, ok := r.text(n, path)
	if !ok {
		return false, false
	}
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	r.fail(at(n), path, "%q: want true or false", text)
	return false, false
}

// number reads an integer between low and high.
func (r *reader) number(n *yaml.Node, path string, low, high int) (v int, ok bool) {
	text, ok := r.text(n, path)
	if !ok {
		return 0, false
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < low || v > high {
		r.fail(at(n), path, "%q: want a number from %d to %d", text, low, high)
		return 0, false
	}
	return v, true
}

// word reads one of some words; those that YAML takes for booleans come as such.
func (r *reader) word(n *yaml.Node, path string, words ...string) (string, bool) {
	text, ok := r.text(n, path)
	if !ok {
		return "", false
	}
	if !slices.Contains(words, text) {
		r.fail(at(n), path, "%q: want %s%s", text, either(words), suggest(text, words))
		return "", false
	}
	return text, true
}

func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
