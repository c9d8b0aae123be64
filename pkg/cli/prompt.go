package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
		text, err := bufio.NewReader(in).ReadString('\n')
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
