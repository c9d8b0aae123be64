package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one finding about cluster.yaml.
type Problem struct {
	File string
	// Line and Column begin at 1; 0 where there is no place.
	Line, Column int
	// Path is the place in the file's structure, such as nodes.node-3.network.gateway; "" for the whole.
	Path    string
	Message string
	// Warning marks what does not keep the file from being used.
	Warning bool
}

// String is the problem on one line, with its place.
func (p Problem) String() string {
	text := p.File
	if p.Line > 0 {
		text += fmt.Sprintf(":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		text += ": " + p.Path
	}
	return text + ": " + p.Message
}

// Error is everything that is wrong with a file, in the order of its lines. Match it with errors.As.
type Error struct {
	// Problems holds no warnings and is never empty.
	Problems []Problem
}

// Error gives one line per problem.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// findings collects problems; the zero value is ready but for its file.
type findings struct {
	file string
	list []Problem
}

// pos is a place in the file.
type pos struct{ line, column int }

func (f *findings) fail(at pos, path, format string, args ...any) {
	f.list = append(f.list, Problem{File: f.file, Line: at.line, Column: at.column, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) warn(at pos, path, format string, args ...any) {
	f.fail(at, path, format, args...)
	f.list[len(f.list)-1].Warning = true
}

// result gives the warnings, and an *Error when there is more than those.
func (f *findings) result() ([]Problem, error) {
	slices.SortStableFunc(f.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var warnings, errs []Problem
	for _, p := range f.list {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			errs = append(errs, p)
		}
	}
	if len(errs) > 0 {
		return warnings, &Error{Problems: errs}
	}
	return warnings, nil
}
