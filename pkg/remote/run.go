package remote

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// DefaultOutput is Script.MaxOutput where it is 0, in bytes.
const DefaultOutput = 1 << 20

// Script is a POSIX shell script for a node.
type Script struct {
	// Text is read as a whole before its first line is run: a connection that breaks off never leaves half of it done by
	// having sent only that much.
	Text string
	// Input is the script's own standard input; it may be binary.
	Input []byte
	// Root runs it as root by sudo, which must ask for no password.
	Root bool
	// MaxOutput bounds each of stdout and stderr, in bytes; 0 means 1 MiB.
	MaxOutput int
}

// Result is what a script left.
type Result struct {
	Stdout, Stderr []byte
	// ExitCode is the script's; 128 and more when a signal ended it.
	ExitCode int
	// Signal ended the script ("TERM"), if one did.
	Signal string
}

// Words of shell commands: what a login runs, which everybody on the node may see.
const (
	shell     = "exec sh"
	rootShell = `[ "$(id -u)" = 0 ] && exec sh; exec sudo -n -- sh`
)

// goodbye is how long a script that is to end may take to hear it.
const goodbye = 2 * time.Second

// Run runs a script and gives its output. That it failed is no error: Result.ExitCode says so. Errors match ErrLost when the
// connection broke off, ErrOutput when it wrote too much, or are the context's; then the script is told to end, and the
// connection is closed.
func (c *Client) Run(ctx context.Context, s Script) (Result, error) {
	command := shell
	if s.Root {
		command = rootShell
	}
	r, err := c.run(ctx, command, strings.NewReader(s.whole()), cmp.Or(s.MaxOutput, DefaultOutput))
	if err != nil {
		return r, fmt.Errorf("run a script on %s: %w", c.name, err)
	}
	return r, nil
}

// whole gives the script with its input as one compound command: the shell reads all of it before it begins.
func (s Script) whole() string {
	if len(s.Input) == 0 {
		return "{\n" + s.Text + "\n} </dev/null\n"
	}
	const end = "racker.end.of.input" // no word of base64 has a dot
	return "base64 -d <<'" + end + "' | {\n" + base64.StdEncoding.EncodeToString(s.Input) + "\n" + end + "\n" + s.Text + "\n}\n"
}

// run runs one command with an input.
func (c *Client) run(ctx context.Context, command string, in io.Reader, limit int) (Result, error) {
	session, err := c.session(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = session.Close() }() // it may have ended
	over := make(chan struct{})
	full := sync.OnceFunc(func() { close(over) })
	out, errs := &bounded{left: limit, full: full}, &bounded{left: limit, full: full}
	session.Stdin, session.Stdout, session.Stderr = in, out, errs
	ended := make(chan error, 1)
	if err := session.Start(command); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	go func() { ended <- session.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		c.hangUp(session, ended)
		return Result{}, ctx.Err()
	case <-over:
		c.hangUp(session, ended)
		return Result{}, fmt.Errorf("more than %d bytes: %w", limit, ErrOutput)
	}
	if out.cut || errs.cut {
		return Result{}, fmt.Errorf("more than %d bytes: %w", limit, ErrOutput)
	}
	r := Result{Stdout: out.buf.Bytes(), Stderr: errs.buf.Bytes()}
	return r, r.take(err)
}

// session opens one; a node that does not answer does not hold it up.
func (c *Client) session(ctx context.Context) (*ssh.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.over.Load() {
		return nil, fmt.Errorf("%w: the connection was closed", ErrLost)
	}
	cut := context.AfterFunc(ctx, func() { _ = c.ssh.Close() })
	session, err := c.ssh.NewSession()
	if !cut() {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return session, nil
}

// hangUp tells a script to end, waits a moment for it, and closes the connection, since nobody may use it any more.
func (c *Client) hangUp(session *ssh.Session, ended <-chan error) {
	late := time.AfterFunc(goodbye, func() { _ = c.ssh.Close() })
	defer late.Stop()
	c.over.Store(true)
	_ = session.Signal(ssh.SIGTERM) // it may have ended, or the node may be gone
	_ = session.Close()
	_ = c.ssh.Close()
	if err := <-ended; err != nil {
		return // why it ended is known
	}
}

// take reads how a command ended.
func (r *Result) take(err error) error {
	var exit *ssh.ExitError
	switch {
	case err == nil, errors.Is(err, io.EOF): // EOF: it ended well before it had read all of its input
		return nil
	case errors.As(err, &exit):
		r.ExitCode, r.Signal = exit.ExitStatus(), exit.Signal()
		return nil
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// bounded keeps what is written up to a limit, and then says so once. The SSH library writes from one goroutine, and its session
// ends before the rest is read.
type bounded struct {
	buf  bytes.Buffer
	left int
	cut  bool
	full func()
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.buf.Write(p[:n])
	b.left -= n
	if n < len(p) {
		b.cut = true
		b.full()
	}
	return len(p), nil // a writer that fails would leave the rest in the connection's window
}
