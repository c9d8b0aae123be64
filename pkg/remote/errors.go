package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
)

// Errors of this package, to be matched with errors.Is.
var (
	// ErrHostKey is matched when whoever answers has not the host key that was expected. Nothing was sent to it.
	ErrHostKey = errors.New("host key is not the one that racker gave it")
	// ErrAuth is matched when the node refuses the key.
	ErrAuth = errors.New("login refused")
	// ErrUnreachable is matched when nobody answers at the address, or no SSH server does.
	ErrUnreachable = errors.New("not reachable over SSH")
	// ErrLost is matched when the connection broke off under a script: what became of it is not known. It matches
	// ErrUnreachable, too.
	ErrLost = fmt.Errorf("connection lost: %w", ErrUnreachable)
	// ErrOutput is matched when a script wrote more than it may. It was stopped.
	ErrOutput = errors.New("too much output")
)

// handshake notes how far a handshake came, since the library's errors do not say it.
type handshake struct {
	foreign  error // the host key was another
	trusted  bool  // the host key was right
	answered bool  // our key was asked for
}

// classify finds the error to match for a handshake that failed.
func (h *handshake) classify(ctx context.Context, err error) error {
	var no *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case h.foreign != nil:
		return h.foreign
	case errors.As(err, &no) && !h.trusted:
		return fmt.Errorf("%w: %w", ErrHostKey, err)
	case h.trusted && h.answered && !broken(err):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// broken reports whether an error is the network's and not the other side's answer.
func broken(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}
