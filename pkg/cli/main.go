// Package cli is racker's command line: one file per command, built by root.go into one tree, with one place that
// turns errors into text and exit codes.
//
// Commands return errors and never print them. A command gets what it needs from its Env; nothing is global.
package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/stdio"
)

// Main runs the command line args, its first word being the program's name, and gives the exit code. SIGINT and
// SIGTERM end it in order; a second one ends it at once.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the context is done the default handlers are back, so that a second Ctrl-C kills.
	defer context.AfterFunc(ctx, stop)()
	return run(ctx, args, stdio.System(config.Getenv))
}

// run is Main over given streams.
func run(ctx context.Context, args []string, streams *stdio.Streams) (code int) {
	env := newEnv(streams)
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(streams.Err, "racker: internal error: %v\n%s", v, debug.Stack())
			code = codeFailed
		}
	}()
	root := newRootCmd(env)
	words := []string{}
	if len(args) > 1 {
		words = doubleDashes(root, args[1:])
	}
	root.SetArgs(words)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return codeOK
	}
	return env.report(ctx, err, words)
}
