package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/racker-project/racker/pkg/image"
)

// Parse reads one profile; name is that of its file, for errors. All mistakes are in the error, each with line and column.
func Parse(name string, data []byte) (*image.Profile, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: it is empty", name)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document", name)
	}
	f := &file{name: name, lines: map[string]*yaml.Node{}}
	top := doc.Content[0]
	p := &image.Profile{}
	f.mapping(top, "", fields(p))
	f.check(top, p)
	if err := errors.Join(f.errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// file is one profile while it is read.
type file struct {
	name  string
	lines map[string]*yaml.Node // where each field is
	errs  []error
}

// field takes the value of one name. Exactly one of the three is set.
type field struct {
	word  func(string) error
	words *[]string
	below map[string]field
}

// fields is every name that a profile may have.
func fields(p *image.Profile) map[string]field {
	text := func(to *string) field {
		return field{word: func(s string) error { *to = s; return nil }}
	}
	return map[string]field{
		"name":        text(&p.Name),
		"description": text(&p.Description),
		"arch":        {words: &p.Archs},
		"ignition": {word: func(s string) error {
			p.Ignition = image.IgnitionPlace(s)
			return oneOf(s, string(image.IgnitionOEMFile), string(image.IgnitionKernelArg), string(image.IgnitionNone))
		}},
		"spec_version": {word: func(s string) error { p.SpecVersion = s; return oneOf(s, "3.3.0", "3.4.0") }},
		"oem_label":    text(&p.OEMLabel),
		"config_arg":   text(&p.ConfigArg),
		"min_disk": {word: func(s string) (err error) {
			p.MinDisk, err = parseSize(s)
			return err
		}},
		"kernel_file": {below: map[string]field{
			"name": text(&p.Kernel.Name), "append": text(&p.Kernel.Append), "console": text(&p.Kernel.Console),
		}},
		"match": {below: map[string]field{
			"partitions": {words: &p.Partitions}, "partition_guids": {words: &p.PartitionGUIDs},
		}},
	}
}

func oneOf(s string, allowed ...string) error {
	for _, a := range allowed {
		if s == a {
			return nil
		}
	}
	return fmt.Errorf("%q: want %s", s, strings.Join(allowed, ", "))
}

func (f *file) fail(n *yaml.Node, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s:%d:%d: %w", f.name, n.Line, n.Column, fmt.Errorf(format, args...)))
}

func (f *file) mapping(n *yaml.Node, section string, known map[string]field) {
	if n.Kind != yaml.MappingNode {
		f.fail(n, "want names and values%s", below(section))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		full := section + name.Value
		to, ok := known[name.Value]
		if !ok {
			f.fail(name, "a profile has no %q%s, only %s", name.Value, below(section), strings.Join(sortedKeys(known), ", "))
			continue
		}
		if first := f.lines[full]; first != nil {
			f.fail(name, "%s is there twice, first on line %d", full, first.Line)
			continue
		}
		f.lines[full] = value
		f.value(value, full, to)
	}
}

func (f *file) value(n *yaml.Node, full string, to field) {
	switch {
	case to.below != nil:
		f.mapping(n, full+".", to.below)
	case to.words != nil && n.Kind == yaml.ScalarNode && n.Value != "":
		*to.words = []string{n.Value}
	case to.words != nil && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Value == "" {
				f.fail(item, "%s: want a list of words", full)
				return
			}
			*to.words = append(*to.words, item.Value)
		}
	case to.words != nil:
		f.fail(n, "%s: want a list of words", full)
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		f.fail(n, "%s: want one value", full)
	default:
		if err := to.word(n.Value); err != nil {
			f.fail(n, "%s: %w", full, err)
		}
	}
}

func below(section string) string {
	if section == "" {
		return ""
	}
	return " below " + strings.TrimSuffix(section, ".")
}
