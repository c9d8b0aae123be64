package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/racker-project/racker/pkg/stdio"
)

// readLine reads one line of an answer. A terminal's read cannot be interrupted, so that it goes on in a goroutine
// that ends with the line, or with the process when ctx ends first.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := lineOf(in)
		if errors.Is(err, io.EOF) {
			err = nil // the end of the input answers with what was typed
		}
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return "", fmt.Errorf("read the answer: %w", r.err)
		}
		return r.text, nil
	case <-ctx.Done():
		return "", withCode(codeInterrupted, fmt.Errorf("interrupted: %w", context.Cause(ctx)))
	}
}

// lineOf reads a line and nothing behind it, which is the answer to the next question.
func lineOf(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		n, err := in.Read(one)
		line = append(line, one[:n]...)
		if err != nil || n > 0 && one[0] == '\n' {
			return string(line), err
		}
	}
}

// typeWord wants one word typed, and is an error with code 4 for any other.
func typeWord(ctx context.Context, io *stdio.Streams, word string) error {
	fmt.Fprintf(io.Err, "Type %s to go on: ", stdio.Clean(word))
	answer, err := readLine(ctx, io.In)
	if err != nil {
		fmt.Fprintln(io.Err)
		return err
	}
	if strings.TrimSpace(answer) != word {
		return withCode(codeNotConfirmed, errors.New("not confirmed: nothing was done"))
	}
	return nil
}

// typedLines gives the lines of in. A read of a terminal cannot be interrupted: the goroutine ends with the input, with the
// first line after gone is closed, or with the process.
func typedLines(gone <-chan struct{}, in io.Reader) <-chan string {
	out := make(chan string)
	go func() {
		defer close(out)
		for r := bufio.NewReader(in); ; {
			line, err := r.ReadString('\n')
			if err != nil && line == "" {
				return
			}
			select {
			case out <- line:
			case <-gone:
				return
			}
		}
	}()
	return out
}
