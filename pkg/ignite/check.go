package ignite

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Check translates an operator's Butane config, and takes a key that nobody knows for the mistake that it is: Ignition would
// ignore it in silence. The error is a *ConfigError with every such place; other doubts come as warnings.
func Check(name string, source []byte) (warnings []Problem, err error) {
	_, found, err := Translate(name, source)
	if err != nil {
		return nil, err
	}
	unknown := &ConfigError{Name: name}
	for _, p := range found {
		if strings.HasPrefix(strings.ToLower(p.Message), "unused key ") {
			p.Message = "there is no such key: " + strings.TrimSpace(p.Message[len("unused key "):])
			p.Fatal = true
			unknown.Problems = append(unknown.Problems, p)
			continue
		}
		warnings = append(warnings, p)
	}
	if len(unknown.Problems) > 0 {
		return nil, unknown
	}
	return warnings, nil
}

// In is the problem on one line, for the config called name.
func (p Problem) In(name string) string { return p.at(name) }

// Empty reports whether a config says nothing: comments only.
func Empty(source []byte) bool {
	var doc yaml.Node
	return errors.Is(yaml.NewDecoder(bytes.NewReader(source)).Decode(&doc), io.EOF)
}
