package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseFile sets what the YAML document says. It walks the nodes rather than decode into a struct, so that each
// error carries line and column and an unknown name is refused with the nearest known one.
func parseFile(s *Settings, name string, data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty, or comments only
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one YAML document", name)
	}
	f := &file{name: name, settings: s, keys: keys()}
	f.walk("", doc.Content[0])
	return errors.Join(f.errs...)
}

// file is one settings file while it is read.
type file struct {
	name     string
	settings *Settings
	keys     []key
	errs     []error
}

func (f *file) fail(n *yaml.Node, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s:%d:%d: %w", f.name, n.Line, n.Column, fmt.Errorf(format, args...)))
}

func (f *file) walk(section string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" { // "bmc:" with nothing below
		return
	}
	if n.Kind != yaml.MappingNode {
		f.fail(n, "want names and values%s", inSection(section))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		full := section + name.Value
		if line, twice := seen[full]; twice {
			f.fail(name, "%s is set twice, first on line %d", full, line)
			continue
		}
		seen[full] = name.Line
		f.entry(full, name, value)
	}
}

func (f *file) entry(full string, name, value *yaml.Node) {
	if slices.ContainsFunc(f.keys, func(k key) bool { return strings.HasPrefix(k.name, full+".") }) {
		f.walk(full+".", value)
		return
	}
	i := slices.IndexFunc(f.keys, func(k key) bool { return k.name == full })
	if i < 0 {
		f.fail(name, "no setting %s%s", full, f.suggest(full))
		return
	}
	words, ok := f.words(f.keys[i], value)
	if !ok {
		return
	}
	if err := f.keys[i].set(f.settings, words); err != nil {
		f.fail(value, "%s: %w", full, err)
		return
	}
	f.settings.Origin[full] = fmt.Sprintf("%s:%d", f.name, name.Line)
}

// words gives the value's text: one word, or those of a sequence where the setting is a list.
func (f *file) words(k key, value *yaml.Node) ([]string, bool) {
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null" && !k.list:
		return []string{""}, true
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		return nil, true
	case value.Kind == yaml.ScalarNode && k.list:
		return strings.Fields(value.Value), true
	case value.Kind == yaml.ScalarNode:
		return []string{value.Value}, true
	case value.Kind == yaml.SequenceNode && k.list:
		words := make([]string, 0, len(value.Content))
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				f.fail(item, "%s: want a list of words", k.name)
				return nil, false
			}
			words = append(words, item.Value)
		}
		return words, true
	}
	want := "one value"
	if k.list {
		want = "a list of words"
	}
	f.fail(value, "%s: want %s", k.name, want)
	return nil, false
}

func (f *file) suggest(full string) string {
	for _, k := range f.keys {
		if strings.ReplaceAll(k.name, "_", "") == strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(full)) {
			return ", did you mean " + k.name + "?"
		}
	}
	return ""
}

func inSection(section string) string {
	if section == "" {
		return ""
	}
	return " below " + strings.TrimSuffix(section, ".")
}
