package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/stdio"
	"github.com/racker-project/racker/pkg/store"
)

// Exit codes; scripts rely on them.
const (
	codeOK           = 0
	codeFailed       = 1
	codeUsage        = 2
	codeSomeNodes    = 3 // some nodes failed
	codeNotConfirmed = 4 // not confirmed, or no terminal to confirm on
	codeLocked       = 5 // state held by another racker
	codeUnreachable  = 6 // a BMC or node is unreachable
	codeInterrupted  = 130
)

// exitError gives an error an exit code, a hint, or both. Code 0 means that the wrapped error decides.
type exitError struct {
	err  error
	code int
	hint string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withCode makes err end the program with code; nil stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{err: err, code: code}
}

// errSilent says nothing more: a program that racker ran has said it.
var errSilent = errors.New("")

// withHint adds the next command to try; nil stays nil.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &exitError{err: err, hint: hint}
}

// usageError is what a wrong command line gets.
func usageError(format string, args ...any) error {
	return withCode(codeUsage, fmt.Errorf(format, args...))
}

// exitCode finds the code that err deserves: the outermost that was given, else by the kind of error.
func exitCode(ctx context.Context, err error) int {
	if code := givenCode(err); code != codeOK {
		return code
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		return codeLocked
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))):
		return codeInterrupted
	}
	return codeFailed
}

func givenCode(err error) int {
	switch e := err.(type) { //nolint:errorlint // this walks the tree itself, one level at a time
	case *exitError:
		if e.code != codeOK {
			return e.code
		}
	case *api.Error:
		return e.Code
	}
	for _, inner := range unwrap(err) {
		if code := givenCode(inner); code != codeOK {
			return code
		}
	}
	return codeOK
}

// hints gives every hint in err, the outermost first, each once.
func hints(err error) []string {
	var out []string
	for hint := range eachHint(err) {
		if hint != "" && !slices.Contains(out, hint) {
			out = append(out, hint)
		}
	}
	return out
}

func eachHint(err error) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var hint string
		switch e := err.(type) { //nolint:errorlint // this walks the tree itself, one level at a time
		case *exitError:
			hint = e.hint
		case *api.Error:
			hint = e.Hint
		case *rack.CSVError:
			hint = e.Hint
		}
		if !yield(hint) {
			return
		}
		for _, inner := range unwrap(err) {
			for h := range eachHint(inner) {
				if !yield(h) {
					return
				}
			}
		}
	}
}

func unwrap(err error) []error {
	switch e := err.(type) { //nolint:errorlint // this walks the tree itself, one level at a time
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return []error{inner}
		}
	}
	return nil
}

// errorLine is an error under --json, one line on stderr.
type errorLine struct {
	Type    string `json:"type"` // "error"
	Code    int    `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// report shows err, once, on stderr and gives the exit code. words is the command line, for a --json that was not
// parsed because what came before it is wrong.
func (e *Env) report(ctx context.Context, err error, words []string) int {
	code, message, found := exitCode(ctx, err), err.Error(), hints(err)
	if errors.Is(err, errSilent) {
		return code
	}
	if code == codeInterrupted && givenCode(err) == codeOK {
		message = "interrupted"
	}
	if e.JSON || wantsJSON(words) {
		line := errorLine{Type: "error", Code: code, Message: message, Hint: strings.Join(found, "; ")}
		enc := json.NewEncoder(e.IO.Err)
		enc.SetEscapeHTML(false)
		if encErr := enc.Encode(line); encErr != nil {
			return codeFailed
		}
		return code
	}
	// Cleaned, since a node's log or a BMC's answer may be in it.
	for text := range strings.Lines(message) {
		e.IO.Errf("racker: %s %s\n", e.IO.PaintErr(stdio.Bad, "error:"), foldedErr(e.IO, strings.TrimRight(text, "\n"), len("racker: error: ")))
	}
	for _, hint := range found {
		e.IO.Errf("racker: %s %s\n", e.IO.PaintErr(stdio.Warn, "hint:"), foldedErr(e.IO, hint, len("racker: hint: ")))
	}
	return code
}

func wantsJSON(words []string) bool {
	for _, w := range words {
		switch w {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}
